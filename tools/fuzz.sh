#!/usr/bin/env bash
# Runs every fuzz target of the root module for a while: tools/fuzz.sh 10s
set -euo pipefail
time=${1:-10s}
go list -f '{{.Dir}} {{.ImportPath}}' ./... | while read -r dir pkg; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$dir"/*_test.go 2>/dev/null | sed 's/^func //' | sort -u); do
		echo "fuzz $pkg $target"
		out=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg" </dev/null 2>&1) || { echo "$out" | tail -n 40; exit 1; }
		echo "$out" | tail -n 1
	done
done
