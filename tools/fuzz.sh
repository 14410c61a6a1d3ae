#!/usr/bin/env bash
# Runs every fuzz target of the root module for a while: tools/fuzz.sh 10s
set -euo pipefail
time=${1:-10s}
# Before Go 1.27 the end of -fuzztime itself can be reported as a failure (Go issue
# 75804): a bare "context deadline exceeded", with no input written. The target then
# runs again; a finding always comes with its input or its trace, and fails at once.
only_deadline() { grep -qx ' *context deadline exceeded' <<<"$1" && ! grep -qE 'Failing input|panic:|_test\.go:[0-9]+' <<<"$1"; }
run() { out=$(go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" "$1" </dev/null 2>&1); }
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' | sort -u); do
		echo "fuzz $pkg $target"
		run "$pkg" "$target" || { only_deadline "$out" && echo "only the end of the time was reported: again" && run "$pkg" "$target"; } \
			|| { echo "$out" | tail -n 40; exit 1; }
		echo "$out" | tail -n 1
	done
done
