package example

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

// envWrong says in what way the sink that the suite tries is wrong.
const envWrong = "DDPM_TEST_WRONG_SINK"

// wrong is the example with a mistake.
type wrong struct {
	*poster
	how string
}

// outputName is the output that the suite tries.
func outputName() string {
	if os.Getenv(envWrong) != "" {
		return "wrong_lines"
	}
	return "http_lines"
}

// patienceFor is short where the suite is to fail.
func patienceFor(how string) time.Duration {
	if how == "" {
		return 0
	}
	return 3 * time.Second
}

func init() {
	err := service.RegisterBatchOutput("wrong_lines", service.NewConfigSpec().
		Fields(service.NewStringField("url"), service.NewStringField("timeout")),
		func(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			url, err := conf.FieldString("url")
			s := &wrong{&poster{url, &http.Client{Timeout: time.Second}}, os.Getenv(envWrong)}
			return sink.New(s, options, mgr), service.BatchPolicy{}, 4, err
		})
	if err != nil {
		panic(err)
	}
}

func (w *wrong) Write(ctx context.Context, rows sink.Rows) (sink.Result, error) {
	switch w.how {
	case "loses the last of several rows":
		if n := rows.Len() - 1; n > 0 {
			indexes := make([]int, n)
			for i := range indexes {
				indexes[i] = i
			}
			_, err := w.poster.Write(ctx, sink.Select(rows, indexes))
			return sink.Result{Committed: n + 1}, err
		}
	case "blames all for one":
		result, err := w.poster.Write(ctx, rows)
		if err != nil && w.poster.Classify(err).Kind == sink.Refuse {
			for i := range rows.Len() {
				result.Failures = append(result.Failures, sink.Failure{Index: i, Reason: reason.New(reason.StageSink, "refused", "bad")})
			}
			return sink.Result{Failures: result.Failures}, nil
		}
		return result, err
	case "acknowledges what it did not write":
		result, _ := w.poster.Write(ctx, rows)
		return result, nil
	case "does not count":
		result, err := w.poster.Write(ctx, rows)
		result.Committed = 0
		return result, err
	case "knows no end":
		ctx = context.Background()
		w.poster.client.Timeout = 0
	}
	return w.poster.Write(ctx, rows)
}

func (w *wrong) Classify(err error) sink.Verdict {
	if w.how == "takes an outage for a refusal" {
		return sink.Verdict{Kind: sink.Refuse}
	}
	return w.poster.Classify(err)
}

func TestTheSuiteFindsSinksThatAreWrong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for how, seen := range map[string]struct{ in, as string }{
		"loses the last of several rows":     {"good_records_arrive", "the destination holds"},
		"blames all for one":                 {"refused_records_among_others", "the dead letters are"},
		"acknowledges what it did not write": {"outage_before_a_batch", "did not wait"},
		"takes an outage for a refusal":      {"outage_before_a_batch", "the batch did not wait"},
		"knows no end":                       {"cancelled_in_the_middle", "the engine did not end"},
		"does not count":                     {"good_records_arrive", "waited in vain for books that balance"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			suite := exec.Command(binary, "-test.run=^TestConformance$/^"+seen.in+"$")
			suite.Env = append(os.Environ(), envWrong+"="+how)
			said, err := suite.CombinedOutput()
			if err == nil || !strings.Contains(string(said), seen.as) {
				t.Errorf("the suite says %v: %s", err, said)
			}
		})
	}
}
