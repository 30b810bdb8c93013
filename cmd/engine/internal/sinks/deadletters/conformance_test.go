package deadletters_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"ddpm/engine/internal/enginetest"
	"ddpm/engine/internal/sink/conformance"

	_ "ddpm/engine/internal/records/origin"
	_ "ddpm/engine/internal/sinks/deadletters"
)

// A letter that is delivered is what this sink stores; none is ever refused.
func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Target{
		Waiting:     "dead_letter_waiting",
		Says:        "the dead letters wait (",
		Audited:     true,
		InSilence:   true,
		RefusesNone: true,
		New: func(t testing.TB) conformance.Destination {
			topic := enginetest.NewTopic(t)
			return conformance.Destination{
				Server:  topic.Broker,
				Prepare: topic.HideBehind,
				Config: func(address string) string {
					return fmt.Sprintf("ddpm_dead_letters: {addresses: [%q], topic: %q, pipeline: %q, timeout: 1s}\n"+
						"processors: [{ddpm_dead_letter: {pipeline: p}}]", address, topic.Name, topic.Name)
				},
				Good:   func(n int) string { return fmt.Sprintf("record %d", n) },
				Stored: func() []int64 { return origins(t, topic) },
				Refuse: func() func() {
					topic.Set("max.message.bytes", "1")
					if err := topic.AwaitRefusal(); !errors.Is(err, kerr.MessageTooLarge) {
						t.Fatal(err)
					}
					return func() { topic.Set("max.message.bytes", "1000000") }
				},
			}
		},
	})
}

// origins are the offsets of the records whose letters the topic holds.
func origins(t testing.TB, topic *enginetest.Topic) []int64 {
	t.Helper()
	var offsets []int64
	for _, letter := range topic.Records() {
		for _, h := range letter.Headers {
			if h.Key == "__connect.errors.offset" {
				offset, err := strconv.ParseInt(string(h.Value), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				offsets = append(offsets, offset)
			}
		}
	}
	return offsets
}
