//go:build stocksql

package main

// The stock SQL components, for benchmarks that compare against them; not in the engine that ddpm ships.
import (
	_ "github.com/lib/pq"
	_ "github.com/warpstreamlabs/bento/public/components/sql/base"
)
