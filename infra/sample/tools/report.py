"""Merges JUnit files into one and renders it as a page that needs nothing but a browser.

Usage: python3 tools/report.py OUT.xml OUT.html IN.xml...
"""

import html
import sys
import xml.etree.ElementTree as ET

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd }
.passed { color: #176b2c } .failed { color: #a11 } .skipped { color: #777 } pre { white-space: pre-wrap }
"""


def outcome(case):
    for tag in ("failure", "error"):
        found = case.find(tag)
        if found is not None:
            return "failed", found.get("message") or found.text or ""
    return ("skipped", "") if case.find("skipped") is not None else ("passed", "")


def merge(paths):
    merged = ET.Element("testsuites", name="cawsar")
    for path in paths:
        root = ET.parse(path).getroot()
        merged.extend(root.iter("testsuite"))
    for count in ("tests", "failures", "errors", "skipped"):
        merged.set(count, str(sum(int(suite.get(count, 0)) for suite in merged)))
    return merged


def render(merged):
    rows, totals = [], {"passed": 0, "failed": 0, "skipped": 0}
    for suite in merged:
        for case in suite.iter("testcase"):
            word, why = outcome(case)
            totals[word] += 1
            name = html.escape(case.get("name", ""))
            detail = f"<pre>{html.escape(why)}</pre>" if why else ""
            rows.append(
                f"<tr><td>{html.escape(suite.get('name', ''))}</td><td>{name}{detail}</td>"
                f"<td class={word}>{word}</td><td>{float(case.get('time', 0)) * 1000:.1f} ms</td></tr>"
            )
    summary = ", ".join(f"{count} {word}" for word, count in totals.items())
    body = "\n".join(rows)
    page = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Cawsar: {summary}</title><style>{STYLE}</style>
<h1>Cawsar</h1><p>{summary}</p>
<table><tr><th>suite<th>test<th>outcome<th>time</tr>
{body}
</table></html>
"""
    return page, summary


def main(out_xml, out_html, *paths):
    merged = merge(paths)
    ET.ElementTree(merged).write(out_xml, encoding="utf-8", xml_declaration=True)
    page, summary = render(merged)
    with open(out_html, "w", encoding="utf-8") as file:
        file.write(page)
    print(f"{summary}: {out_xml}, {out_html}")


if __name__ == "__main__":
    main(*sys.argv[1:])
