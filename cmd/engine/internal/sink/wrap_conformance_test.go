package sink_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	_ "github.com/warpstreamlabs/bento/public/components/io"

	"ddpm/engine/internal/sink/conformance"
)

// archive keeps the offsets of what is posted to it.
type archive struct {
	mu      sync.Mutex
	refuses bool
	offsets []int64
}

func (a *archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	offset, err := strconv.ParseInt(r.Header.Get("Offset"), 10, 64)
	switch {
	case a.refuses:
		w.WriteHeader(http.StatusServiceUnavailable)
	case err != nil || r.Header.Get("Poison") != "":
		w.WriteHeader(http.StatusUnprocessableEntity)
	default:
		a.offsets = append(a.offsets, offset)
	}
}

func (a *archive) setRefuses(refuses bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuses = refuses
}

func (a *archive) stored() []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]int64(nil), a.offsets...)
}

// The engine's own output for HTTP, whose outages would be dead letters without what is around it.
func TestConformanceOfAStockOutput(t *testing.T) {
	conformance.Run(t, conformance.Target{
		Waiting:   "ddpm_sink_waiting",
		Says:      "the archive does not take rows",
		InSilence: true,
		New: func(t testing.TB) conformance.Destination {
			a := &archive{}
			listening := httptest.NewServer(a)
			t.Cleanup(listening.Close)
			return conformance.Destination{
				Server: listening.Listener.Addr().String(),
				Config: func(address string) string {
					return fmt.Sprintf(`ddpm_sink:
  name: the archive
  output:
    http_client:
      url: http://%s
      headers: {Offset: '${! metadata("kafka_offset") }', Poison: '${! json("poison").catch("") }'}
      timeout: 1s
      retries: 0
  refused_if: ['response code \(422\)']`, address)
				},
				Good:   func(n int) string { return fmt.Sprintf(`{"id": %d, "poison": ""}`, n) },
				Bad:    func(n int) string { return fmt.Sprintf(`{"id": %d, "poison": "yes"}`, n) },
				Stored: a.stored,
				Refuse: func() func() {
					a.setRefuses(true)
					return func() { a.setRefuses(false) }
				},
			}
		},
	})
}
