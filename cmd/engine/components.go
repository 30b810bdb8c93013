package main

// What pipelines are made of: the components of Bento that ddpm uses, and ddpm's own. A new one is a line here.
import (
	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/prometheus"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
	_ "github.com/warpstreamlabs/bento/public/components/pure/extended"

	_ "ddpm/engine/internal/formats"
	_ "ddpm/engine/internal/input"
	_ "ddpm/engine/internal/input/feed"
	_ "ddpm/engine/internal/processors/steps"
	_ "ddpm/engine/internal/processors/trial"
	_ "ddpm/engine/internal/processors/workers"
	_ "ddpm/engine/internal/records/origin"
	_ "ddpm/engine/internal/sinks/deadletters"
	_ "ddpm/engine/internal/sinks/kafkaout"
	_ "ddpm/engine/internal/sinks/postgrescopy"
)
