#!/bin/sh
# Installs the locked dependencies (Node 26 among them) when they are missing or older than the lock file. Quiet when done.
set -eu
cd "$(dirname "$0")/.."
stamp=node_modules/.installed-lock
if cmp -s package-lock.json "$stamp" && [ -x node_modules/.bin/node ]; then exit 0; fi
if ! command -v npm >/dev/null 2>&1; then
  echo "cairn: npm is needed once, to install the dependencies: install Node.js 20 or newer with npm, then run this again" >&2
  exit 1
fi
echo "cairn: installing dependencies (once)…" >&2
if ! log=$(npm ci --no-audit --no-fund --loglevel=error 2>&1); then
  printf '%s\n' "$log" >&2
  echo "cairn: the dependencies could not be installed: see npm's message above, then run this again" >&2
  exit 1
fi
cp package-lock.json "$stamp"
