//! Reports of real tools, and reports that nobody should have written.

use std::io::{BufReader, Read};
use std::path::Path;

use proptest::prelude::*;
use schemas::test_report::{
    Case, CaseStatus, HEAD_BYTES, Problem, ReportError, ReportFormat, TestCounts, detect, read,
};

fn junit(report: impl AsRef<[u8]>) -> Result<Vec<Case>, ReportError> {
    cases(ReportFormat::Junit, report.as_ref())
}

fn ctrf(report: impl AsRef<[u8]>) -> Result<Vec<Case>, ReportError> {
    cases(ReportFormat::Ctrf, report.as_ref())
}

/// Yields a few bytes at a time.
struct Pieces<'a>(&'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(7);
        self.0.read(&mut buffer[..length])
    }
}

/// Reads a report, and checks that it makes no difference how its bytes arrive. (In JSON, a later fault may be found
/// first.)
fn cases(format: ReportFormat, report: &[u8]) -> Result<Vec<Case>, ReportError> {
    let (mut cases, mut in_pieces) = (Vec::new(), Vec::new());
    let counts = read(format, report, |case| cases.push(case));
    if report.len() < 100_000 {
        let pieces = read(format, BufReader::new(Pieces(report)), |case| in_pieces.push(case));
        assert_eq!(counts.as_ref().ok(), pieces.as_ref().ok());
        if format == ReportFormat::Junit || counts.is_ok() {
            assert_eq!((&counts, &cases), (&pieces, &in_pieces));
        }
    }
    assert_eq!(counts.as_ref().map_or(cases.len() as u64, |counts| counts.total), cases.len() as u64);
    counts.map(|_| cases)
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/test-reports").join(name)).expect("a fixture")
}

#[test]
fn reports_of_real_tools_are_found_and_counted() {
    let counts = |[passed, failed, errors, skipped, flaky]: [u64; 5], duration_ms| TestCounts {
        total: passed + failed + errors + skipped,
        passed,
        failed,
        errors,
        skipped,
        flaky,
        duration_ms,
    };
    for (name, format, expected) in [
        // Includes a rerun, which pytest lists as a case of its own.
        ("pytest.xml", ReportFormat::Junit, counts([6, 1, 1, 1, 0], 7)),
        ("vitest.xml", ReportFormat::Junit, counts([1, 1, 0, 2, 0], 6)),
        // Jest reports tests still to be written like tests that passed.
        ("jest.xml", ReportFormat::Junit, counts([2, 1, 0, 1, 0], 8)),
        ("node.xml", ReportFormat::Junit, counts([2, 1, 0, 1, 0], 6)),
        ("nextest.xml", ReportFormat::Junit, counts([2, 1, 0, 0, 1], 0)),
        ("pytest.ctrf.json", ReportFormat::Ctrf, counts([5, 2, 0, 1, 1], 0)),
        ("jest.ctrf.json", ReportFormat::Ctrf, counts([1, 1, 0, 2, 0], 8)),
    ] {
        let report = fixture(name);
        assert_eq!(detect(name, &report), Some(format), "{name}");
        let counted = read(format, &*report, |_| {}).unwrap();
        // The time that the tests took on the day does not matter.
        let duration_ms = if expected.duration_ms == 0 { counted.duration_ms } else { expected.duration_ms };
        assert_eq!(counted, TestCounts { duration_ms, ..expected }, "{name}");
    }
}

#[test]
fn cases_say_where_they_are_from_and_what_went_wrong() {
    let of = |name: &str, format, wanted: &str| {
        cases(format, &fixture(name)).unwrap().into_iter().find(|case| case.name == wanted).unwrap()
    };
    let failed = of("pytest.xml", ReportFormat::Junit, "test_fails");
    assert_eq!((failed.suite.as_deref(), failed.class_name.as_deref()), (Some("pytest"), Some("test_sample")));
    assert_eq!(failed.message.as_deref(), Some("AssertionError: arithmetic & <logic>\nassert (1 + 1) == 3"));
    assert_eq!((failed.status, failed.duration_ms), (CaseStatus::Failed, Some(1)));
    let error = of("pytest.xml", ReportFormat::Junit, "test_error");
    assert_eq!(error.message.as_deref(), Some("failed on setup with \"RuntimeError: no database\""));
    // The failure has no attributes.
    let text = of("jest.xml", ReportFormat::Junit, "outer inner fails & <so>").message.unwrap();
    assert!(text.starts_with("Error: expect(received).toBe(expected) // Object.is equality\n"), "{text}");
    assert_eq!(of("node.xml", ReportFormat::Junit, "child").suite.as_deref(), Some("parent"));
    let flaky = of("nextest.xml", ReportFormat::Junit, "tests::flaky");
    assert_eq!((flaky.status, flaky.flaky, flaky.message), (CaseStatus::Passed, true, None));
    let nested = of("jest.ctrf.json", ReportFormat::Ctrf, "outer inner passes");
    assert_eq!(nested.suite.as_deref(), Some("sample.test.js > outer > inner"));
    assert_eq!(nested.file.as_deref(), Some("/workspace/sample.test.js"));
}

#[test]
fn what_surefire_gradle_phpunit_and_googletest_do_differently() {
    let report = r#"<?xml version="1.0" encoding="UTF-8"?>
        <!-- Surefire: the suite is the root; properties, long outputs, reruns -->
        <testsuite name="SampleTest" time="1,234.567" tests="4" file="suite.php">
          <properties><property name="java.version" value="17"/></properties>
          <testcase name="errs" classname="SampleTest" time="1,234.5">
            <error message="no &quot;database&quot;" type="java.lang.IllegalStateException"><![CDATA[at <SampleTest>]]></error>
            <rerunError message="again" type="java.lang.IllegalStateException"><stackTrace>x</stackTrace></rerunError>
            <system-out><![CDATA[</testcase><testcase name="not one"/>]]]]><![CDATA[>]]></system-out>
          </testcase>
          <testsuite name="Inner::class">
            <testcase name="with data set &quot;a&#10;b&quot;" class="Inner" file="inner.php" assertions="1" time="-1"/>
          </testsuite>
          <testcase name="first reason" file="own.php"><failure>one &#x263a;<b/>&amp; two</failure><failure message="other"/><skipped/></testcase>
          <testcase name="DISABLED_x" status="notrun" time="NaN" result="suppressed"/>
          <testcase/>
        </testsuite>
        <?done?>"#;
    let cases = junit(report).unwrap();
    let told: Vec<_> = cases
        .iter()
        .map(|case| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            (case.status, case.name.as_str(), text(&case.file), case.duration_ms, text(&case.message))
        })
        .collect();
    let told_of = |status, name, file: &str, ms, message: &str| (status, name, file.to_owned(), ms, message.to_owned());
    use CaseStatus::{Error, Failed, Passed, Skipped};
    assert_eq!(
        told,
        [
            told_of(Error, "errs", "suite.php", Some(1_234_500), "no \"database\""),
            told_of(Passed, "with data set \"a\u{fffd}b\"", "inner.php", None, ""),
            told_of(Failed, "first reason", "own.php", None, "one \u{263a}& two"),
            told_of(Skipped, "DISABLED_x", "suite.php", None, ""),
            told_of(Passed, "", "suite.php", None, ""),
        ]
    );
    assert_eq!(cases[1].suite.as_deref(), Some("Inner::class"));
}

#[test]
fn hostile_xml_is_refused() {
    let laughs = "<!DOCTYPE testsuites [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><testsuites>&b;</testsuites>";
    let external = "<!DOCTYPE testsuites SYSTEM \"file:///etc/passwd\"><testsuites/>";
    let deep = format!("<testsuites>{}", "<a>".repeat(70));
    let suites = "<testsuite>".repeat(70);
    let many = format!("<testsuite{}/>", (0..70).map(|n| format!(" a{n}='1'")).collect::<String>());
    let wide = format!("<testsuite name='{}'/>", "x".repeat(1 << 21));
    let name = format!("<testsuite><{}/></testsuite>", "x".repeat(300));
    let well = |fault| Problem::NotWellFormed { fault };
    for (report, line, expected) in [
        (laughs, 1, Problem::DocumentType),
        (external, 1, Problem::DocumentType),
        ("<!DOCTYPE", 1, Problem::DocumentType),
        ("<testsuites>\n&xxe;</testsuites>", 2, Problem::Entity),
        ("<testsuites name='&xxe;'>\n<testsuite name='&xxe;'/></testsuites>", 2, Problem::Entity),
        ("<testsuites>&#0;</testsuites>", 1, Problem::Entity),
        ("<testsuites>&#x110000;</testsuites>", 1, Problem::Entity),
        (&deep, 1, Problem::TooDeep { limit: 64 }),
        (&suites, 1, Problem::TooDeep { limit: 64 }),
        (&many, 1, Problem::TooManyAttributes { limit: 64 }),
        (&wide, 1, Problem::TooLong { what: "a tag", limit: 1 << 20 }),
        (&name, 1, Problem::TooLong { what: "the name of an element", limit: 256 }),
        ("<testsuites>\n\n\0</testsuites>", 3, Problem::Nul),
        ("", 1, Problem::EndsEarly),
        ("\n\n", 3, Problem::EndsEarly),
        ("<testsuites>\n<testsuite>", 2, Problem::EndsEarly),
        ("<testsuites><testcase name=\"", 1, Problem::EndsEarly),
        ("<testsuites><![CDATA[", 1, Problem::EndsEarly),
        ("<html/>", 1, Problem::Unexpected { expected: "testsuites or testsuite as the root element" }),
        ("<testcase/>", 1, Problem::Unexpected { expected: "testsuites or testsuite as the root element" }),
        (
            "<testsuite><testcase><testcase/>",
            1,
            Problem::Unexpected { expected: "no test cases or suites within a test case" },
        ),
        ("<testsuite/><testsuite/>", 1, well("a second root element")),
        ("<testsuite/>\ntext", 2, well("text outside of the root element")),
        ("text<testsuite/>", 1, well("text outside of the root element")),
        ("<testsuites></testsuite>", 1, well("an end tag that closes nothing")),
        ("</testsuites>", 1, well("an end tag that closes nothing")),
        ("<testsuite a='1' a='2'/>", 1, well("an attribute that is none, or is there twice")),
        ("<testsuite name=secret/>", 1, well("an attribute that is none, or is there twice")),
        ("<testsuite>a & b</testsuite>", 1, well("a lone `&`")),
        ("<testsuite><!secret></testsuite>", 1, well("unknown markup after `<!`")),
        (
            "<?xml version='1.0' encoding='ISO-8859-1'?><testsuites/>",
            1,
            Problem::Encoding { found: "the declaration of another encoding" },
        ),
    ] {
        let shown: String = report.chars().take(80).collect();
        assert_eq!(junit(report).unwrap_err(), ReportError { line, problem: expected }, "{shown}");
    }
    let utf_16: Vec<u8> = "\u{feff}<testsuites/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(junit(utf_16).unwrap_err().problem, Problem::Encoding { found: "UTF-16" });
    let latin = junit(b"<testsuite><testcase name='\xe9'/></testsuite>").unwrap_err();
    assert_eq!(latin.problem, Problem::Encoding { found: "something else" });
    assert_eq!(junit("\u{feff}<?xml version='1.0' encoding='utf-8'?><testsuites/>").unwrap(), []);
}

#[test]
fn hostile_json_is_refused() {
    let test = |rest: &str| format!("{{\"results\":{{\"tests\":[{{\"name\":\"a\",\"status\":\"passed\"{rest}}}]}}}}");
    let data = || Problem::Unexpected { expected: "CTRF: results.tests, each with its name and status" };
    let syntax = || Problem::NotWellFormed { fault: "no JSON" };
    let deep = format!("{{\"extra\":{}", "[".repeat(70));
    for (report, expected) in [
        (String::new(), Problem::EndsEarly),
        ("{\"results\":{\"tests\":[".to_owned(), Problem::EndsEarly),
        ("{}".to_owned(), data()),
        ("{\"results\":{}}".to_owned(), data()),
        ("{\"results\":{\"tests\":{}}}".to_owned(), data()),
        ("{\"results\":{\"tests\":[]},\"results\":{\"tests\":[]}}".to_owned(), data()),
        ("{\"results\":{\"tests\":[],\"tests\":[]}}".to_owned(), data()),
        ("{\"reportFormat\":\"XTRF\",\"results\":{\"tests\":[]}}".to_owned(), data()),
        ("{\"results\":{\"tests\":[{\"name\":\"a\"}]}}".to_owned(), data()),
        ("[]".to_owned(), data()),
        (test(",\"status\":\"failed\""), data()),
        (test(",\"duration\":\"1\""), data()),
        (test(",\"message\":[\"a\"]"), data()),
        (test(",\"duration\":1e999"), syntax()),
        (test(",\"duration\":NaN"), syntax()),
        (test("") + "x", syntax()),
        (test(",\"extra\":\"\0\""), Problem::Nul),
        (deep, Problem::TooDeep { limit: 64 }),
    ] {
        assert_eq!(ctrf(&report).unwrap_err().problem, expected, "{report}");
    }
    assert_eq!(ctrf("{\"results\":\n{\"tests\":\n\n5}}").unwrap_err().line, 4);
    for (rest, expected) in [
        (",\"duration\":-1", None),
        (",\"duration\":1.5", Some(2)),
        (",\"duration\":1e300", None),
        (",\"duration\":null", None),
        (",\"duration\":18446744073709551616", None),
    ] {
        assert_eq!(ctrf(test(rest)).unwrap()[0].duration_ms, expected, "{rest}");
    }
    let case = &ctrf(test(",\"suite\":[\"a\",\"b\\u0000\"],\"flaky\":true,\"extra\":{\"a\":[1]}")).unwrap()[0];
    assert_eq!((case.suite.as_deref(), case.flaky), (Some("a > b\u{fffd}"), true));
}

#[test]
fn long_outputs_are_stepped_over_up_to_a_limit() {
    let with_output = |bytes: usize| {
        let output = "x".repeat(bytes);
        format!("<testsuite><testcase/><system-out><![CDATA[{output}]]></system-out></testsuite>")
    };
    assert_eq!(junit(with_output(10 << 20)).unwrap().len(), 1);
    let limit = 16 << 20;
    let too_long = Problem::TooLong { what: "a text, comment or tag", limit };
    assert_eq!(junit(with_output(limit)).unwrap_err().problem, too_long);
    let with_screenshot = |bytes: usize| {
        let base64 = "x".repeat(bytes);
        let test = format!("{{\"name\":\"a\",\"status\":\"failed\",\"screenshot\":\"{base64}\"}}");
        format!("{{\"results\":{{\"tests\":[{test}]}}}}")
    };
    assert_eq!(ctrf(with_screenshot(10 << 20)).unwrap().len(), 1);
    assert_eq!(ctrf(with_screenshot(limit)).unwrap_err().problem, Problem::TooLong { what: "a string", limit });
}

#[test]
fn there_is_a_limit_to_cases() {
    let mut told = 0;
    let report = format!("<testsuite>{}</testsuite>", "<testcase/>".repeat(200_001));
    let refused = read(ReportFormat::Junit, report.as_bytes(), |_| told += 1).unwrap_err();
    assert_eq!((refused.problem, told), (Problem::TooManyCases { limit: 200_000 }, 200_001));
}

#[test]
fn errors_do_not_quote() {
    for report in [
        "<testsuites></s3cret>",
        "<testsuites s3cret>",
        "<s3cret/>",
        "<testsuites>&s3cret;</testsuites>",
        "<?xml version='1.0' encoding='s3cret'?><testsuites/>",
        "<!s3cret>",
        "s3cret",
    ] {
        let error = junit(report).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    for report in
        ["{\"results\":{\"tests\":[{\"name\":\"a\",\"status\":\"s3cret\"}]}}", "{\"results\":\"s3cret\"}", "s3cret"]
    {
        let error = ctrf(report).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_ends_well(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = detect("a.xml", &bytes);
        let _ = detect("a.json", &bytes);
        let _ = junit(&bytes);
        let _ = ctrf(&bytes);
    }

    /// Reports that are cut off are never taken for whole ones, and the cases read from them are a beginning.
    #[test]
    fn cut_reports_are_refused(at in 0_usize..1_500) {
        for (name, format) in [("pytest.xml", ReportFormat::Junit), ("pytest.ctrf.json", ReportFormat::Ctrf)] {
            let report = fixture(name);
            let whole = cases(format, &report).unwrap();
            let mut told = Vec::new();
            prop_assert!(read(format, &report[..at], |case| told.push(case)).is_err());
            prop_assert!(whole.starts_with(&told));
            prop_assert!(at < HEAD_BYTES);
        }
    }
}
