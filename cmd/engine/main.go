// Command engine is ddpm's build of the Bento stream processor: the components that ddpm's
// pipelines use, and ddpm's own plugins for identity, dead letters and the Postgres sink.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/processors/mappings"
	"ddpm/engine/internal/runtime/handover"
	"ddpm/engine/internal/runtime/lifeline"
	"ddpm/engine/internal/runtime/profiling"
)

// The heap may grow to three times what is alive, which saves CPU time with small records, up to a
// limit that large records would otherwise exceed. GOGC and GOMEMLIMIT in the environment win.
const (
	heapGrowth  = 200
	memoryLimit = 448 << 20
)

func main() {
	if contract.Asked(os.Args[1:]) {
		if err := contract.Print(os.Stdout); err != nil {
			panic(err)
		}
		return
	}
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
