// A reporter for `node --test` that writes JUnit XML, for the versions of Node that bring none.

const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;" };
const escape = (text) =>
  String(text)
    .replace(/[&<>"\n]/g, (character) => escapes[character])
    // What XML 1.0 cannot hold at all.
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");

export default async function* junit(events) {
  const cases = [];
  let [failures, skipped, seconds] = [0, 0, 0];
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    // Suites, and in Node 18 the test files themselves, are no test cases.
    if (data.details?.type === "suite" || /\.[cm]?js$/.test(data.name)) continue;
    const time = (data.details?.duration_ms ?? 0) / 1000;
    seconds += time;
    let outcome = "";
    if (type === "test:fail") {
      failures += 1;
      const error = data.details?.error;
      outcome = `<failure message="${escape((error?.cause ?? error)?.message ?? "failed")}"/>`;
    } else if (data.skip !== undefined || data.todo !== undefined) {
      skipped += 1;
      outcome = "<skipped/>";
    }
    cases.push(`  <testcase classname="node" name="${escape(data.name)}" time="${time.toFixed(6)}">${outcome}</testcase>\n`);
  }
  yield '<?xml version="1.0" encoding="utf-8"?>\n';
  yield `<testsuite name="node" tests="${cases.length}" failures="${failures}" errors="0" skipped="${skipped}" time="${seconds.toFixed(6)}">\n`;
  yield* cases;
  yield "</testsuite>\n";
}
