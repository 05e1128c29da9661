#!/bin/sh
# How much of core/ could be wrong without a test noticing: every small change of it, against tests/core.
# Usage: tools/mutate.sh DIRECTORY    (an empty one outside the repository; some 15 minutes on two processors)
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1/copy/tests"
cd "$1"
python3 -m venv tools
tools/bin/pip -q install mutmut pytest hypothesis
cd copy
cp -R "$here/src" "$here/docs" .
cp -R "$here/tests/core" "$here/tests/__init__.py" tests/
rm tests/core/test_invariants.py # a million events for each change would take days
printf '[pytest]\npythonpath = src .\n' > pytest.ini
cat > setup.cfg << 'END'
[mutmut]
source_paths=src
only_mutate=src/pidward/core/*
pytest_add_cli_args_test_selection=tests/core
also_copy=
    docs
    tests
    pytest.ini
END
../tools/bin/mutmut run --max-children 2
../tools/bin/mutmut results | grep -v "not checked" || true
