//go:build stocksql

package main

// The stock Kafka and SQL components, for benchmarks that compare against them, whatever the engine that ddpm ships has.
import (
	_ "github.com/lib/pq"
	_ "github.com/warpstreamlabs/bento/public/components/kafka"
	_ "github.com/warpstreamlabs/bento/public/components/sql/base"
)
