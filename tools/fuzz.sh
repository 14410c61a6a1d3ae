#!/usr/bin/env bash
# Runs every fuzz target of the root module for a while: tools/fuzz.sh 10s
set -euo pipefail
time=${1:-10s}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=$(go env GOCACHE)/fuzz # where go test -fuzz keeps what it found of interest
# Before Go 1.27 the end of -fuzztime itself can be reported as a failure (Go issue
# 75804): a bare "context deadline exceeded", with no input written. The target then
# runs again; a finding always comes with its input or its trace, and fails at once.
only_deadline() { grep -qx ' *context deadline exceeded' <<<"$1" && ! grep -qE 'Failing input|panic:|_test\.go:[0-9]+' <<<"$1"; }
# One binary per package serves all its targets: go test -fuzz links it for each again.
run() {
	out=$(cd "$1" && "$tmp/fuzz.test" -test.paniconexit0 -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$time" \
		-test.fuzzcachedir "$cache/$2" </dev/null 2>&1)
}
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	targets=$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' | sort -u) || continue
	go test -c -fuzz . -ldflags='-s -w' -o "$tmp/fuzz.test" "$pkg"
	for target in $targets; do
		echo "fuzz $pkg $target"
		run "$dir" "$pkg" "$target" || { only_deadline "$out" && echo "only the end of the time was reported: again" && run "$dir" "$pkg" "$target"; } \
			|| { echo "$out" | tail -n 40; exit 1; }
		tail -n 2 <<<"$out" | head -n 1
	done
done
