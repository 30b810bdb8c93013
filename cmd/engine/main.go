// Command engine is ddpm's build of the Bento stream processor: the components that ddpm's
// pipelines use, and ddpm's own plugins for identity, dead letters and the Postgres sink.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/handover"
	"ddpm/engine/lifeline"
	"ddpm/engine/mappings"
	"ddpm/engine/profiling"

	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/prometheus"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
	_ "github.com/warpstreamlabs/bento/public/components/pure/extended"

	_ "ddpm/engine/deadletters"
	_ "ddpm/engine/feed"
	_ "ddpm/engine/formats"
	_ "ddpm/engine/input"
	_ "ddpm/engine/kafkaout"
	_ "ddpm/engine/origin"
	_ "ddpm/engine/postgrescopy"
	_ "ddpm/engine/steps"
	_ "ddpm/engine/trial"
	_ "ddpm/engine/workers"
)

// The heap may grow to three times what is alive, which saves CPU time with small records, up to a
// limit that large records would otherwise exceed. GOGC and GOMEMLIMIT in the environment win.
const (
	heapGrowth  = 200
	memoryLimit = 448 << 20
)

func main() {
	if mappings.Asked() {
		if err := mappings.Check(os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	handover.Take()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	lifeline.Start()
	saveProfiles := profiling.Start()
	service.RunCLI(context.Background())
	saveProfiles()
}
