//go:build stocksql

package main

// The stock Kafka and SQL components, which the engine that ddpm ships does without: benchmarks compare against them.
import (
	_ "github.com/lib/pq"
	_ "github.com/warpstreamlabs/bento/public/components/kafka"
	_ "github.com/warpstreamlabs/bento/public/components/sql/base"
)
