#!/bin/sh
# Runs both test suites and leaves reports/junit.xml and reports/report.html. Fails if one of the suites does.
set -eu
cd "$(dirname "$0")"
mkdir -p reports
export PYTHONDONTWRITEBYTECODE=1
status=0

echo "== Python: $(python3 --version)"
if python3 -c 'import pytest' 2>/dev/null; then
    python3 -m pytest -p no:cacheprovider --rootdir=. --junitxml=reports/python.xml -v tests || status=$?
else
    python3 tools/unittest_junit.py reports/python.xml || status=$?
fi

echo "== JavaScript: node $(node --version)"
node --test --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./tools/junit-reporter.mjs --test-reporter-destination=reports/node.xml tests/*.test.mjs || status=$?

echo "== Report"
python3 tools/report.py reports/junit.xml reports/report.html reports/python.xml reports/node.xml
exit $status
