package sink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

// memory is a sink that does what a test tells it.
type memory struct {
	mu sync.Mutex
	// answers are the errors of the next attempts; nil lets one through.
	answers []error
	// poison are documents that it takes in no company, and that it does not name.
	poison []string
	// write takes the place of all that.
	write    func(ctx context.Context, rows sink.Rows) (sink.Result, error)
	rows     []string
	attempts int
}

// errRefusal is an error of a batch that holds poison.
var errRefusal = errors.New("bad document")

func (m *memory) Connect(context.Context) error { return m.next() }

func (m *memory) next() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts++
	if len(m.answers) == 0 {
		return nil
	}
	err := m.answers[0]
	m.answers = m.answers[1:]
	return err
}

func (m *memory) Write(ctx context.Context, rows sink.Rows) (sink.Result, error) {
	if m.write != nil {
		return m.write(ctx, rows)
	}
	if err := m.next(); err != nil {
		return sink.Result{}, err
	}
	texts := documents(rows)
	for _, text := range texts {
		if slices.Contains(m.poison, text) {
			return sink.Result{}, errRefusal
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows = append(m.rows, texts...)
	return sink.Result{Committed: rows.Len()}, nil
}

func (m *memory) Close(context.Context) error { return nil }

type away struct{ sink.Verdict }

func (away) Error() string { return "it is away" }

func (m *memory) Classify(err error) sink.Verdict {
	var known away
	switch {
	case err == errRefusal:
		return sink.Verdict{Kind: sink.Refuse, Reason: reason.New(reason.StageSink, "bad", "not this one")}
	case errors.As(err, &known):
		return known.Verdict
	}
	return sink.Verdict{Class: "connection"}
}

func documents(rows sink.Rows) []string {
	texts := make([]string, rows.Len())
	for i := range texts {
		text, _ := rows.Document(i)
		texts[i] = string(text)
	}
	return texts
}

// lines are what the kit logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, r.Message)
	return nil
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

func output(m sink.Sink, change ...func(*sink.Options)) (*sink.Output, *lines) {
	log := &lines{}
	options := sink.Options{Name: "Memory", Metrics: sink.MetricsOf("memory"), FirstPause: time.Millisecond, LongestPause: time.Millisecond}
	for _, each := range change {
		each(&options)
	}
	return sink.New(m, options, service.MockResources(service.MockResourcesOptUseSlogger(slog.New(log)))), log
}

func batch(texts ...string) service.MessageBatch {
	messages := make(service.MessageBatch, len(texts))
	for i, text := range texts {
		messages[i] = origin.Attach(service.NewMessage([]byte(text)), origin.Origin{Topic: "events", Offset: int64(i)})
	}
	return messages
}

// refused returns the documents that an error names, each with the code of its reason.
func refused(t *testing.T, messages service.MessageBatch, err error) map[string]string {
	t.Helper()
	found := map[string]string{}
	var several *service.BatchError
	if !errors.As(err, &several) {
		if err != nil {
			t.Fatalf("not an error of single records: %v", err)
		}
		return found
	}
	//lint:ignore SA1019 its indexes may be another batch's, and none is used
	several.WalkMessages(func(_ int, m *service.Message, err error) bool {
		if err != nil {
			text, _ := m.AsBytes()
			why, ok := reason.Parse(err.Error())
			if !ok {
				t.Fatalf("the reason of %s is none: %v", text, err)
			}
			found[string(text)] = why.Code
		}
		return true
	})
	return found
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestAnOutageIsWaitedForAndSaidOnce(t *testing.T) {
	m := &memory{answers: []error{errors.New("refused"), errors.New("refused"), away{sink.Verdict{Class: "login", Kind: sink.Person}}}}
	o, log := output(m)
	if err := o.WriteBatch(context.Background(), batch("a", "b")); err != nil {
		t.Fatal(err)
	}
	equal(t, "rows", m.rows, []string{"a", "b"})
	said := log.all()
	if len(said) != 3 || said[0] != "Memory does not take rows (connection), waiting: refused" ||
		said[1] != "Memory does not take rows (login), waiting: it is away" ||
		!strings.HasPrefix(said[2], "Memory takes rows again after ") || !strings.HasSuffix(said[2], "(was: connection, login)") {
		t.Errorf("the log says %q", said)
	}
}

func TestConnectingWaitsToo(t *testing.T) {
	m := &memory{answers: []error{errors.New("refused"), errors.New("refused")}}
	o, log := output(m)
	if err := o.Connect(context.Background()); err != nil || m.attempts != 3 {
		t.Errorf("%v after %d attempts", err, m.attempts)
	}
	equal(t, "lines", len(log.all()), 2)
}

// The engine would ask again and again, without a pause, until it is killed.
func TestNobodyConnectsAfterTheEndOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	o, _ := output(&memory{})
	if err := o.Connect(ctx); err != service.ErrNotConnected {
		t.Errorf("%v", err)
	}
}

func TestTheEndOfTheContextLeavesTheBatchUnacknowledged(t *testing.T) {
	for name, answer := range map[string]error{
		"outage":  errors.New("refused"),
		"refusal": errRefusal,
		"held":    away{sink.Verdict{Class: "breaker", Hold: true}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			m := &memory{}
			m.write = func(context.Context, sink.Rows) (sink.Result, error) {
				if name != "held" {
					cancel()
				} else {
					time.AfterFunc(time.Millisecond, cancel)
				}
				return sink.Result{}, answer
			}
			o, _ := output(m, func(o *sink.Options) { o.FirstPause, o.LongestPause = time.Hour, time.Hour })
			if err := o.WriteBatch(ctx, batch("a")); err != service.ErrNotConnected {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNewsEndAPauseEarly(t *testing.T) {
	news := make(chan struct{})
	close(news)
	for name, verdict := range map[string]sink.Verdict{
		"pause": {Class: "refused", News: news},
		"hold":  {Class: "refused", News: news, Hold: true},
	} {
		m := &memory{answers: []error{away{verdict}}}
		o, _ := output(m, func(o *sink.Options) { o.FirstPause, o.LongestPause = time.Hour, time.Hour })
		if err := o.WriteBatch(context.Background(), batch("a")); err != nil || len(m.rows) != 1 {
			t.Errorf("%s: %v, %v", name, err, m.rows)
		}
	}
}

func TestACulpritThatIsNotNamedIsFoundByHalves(t *testing.T) {
	letters := strings.Split("abcdefghijklmnopqrstuvwxyz", "")
	for _, bad := range [][]string{{"a"}, {"z"}, {"m"}, {"a", "b", "z"}, {"e", "q", "r", "s"}, letters} {
		for _, size := range []int{1, 2, 3, len(letters)} {
			m := &memory{poison: bad}
			o, _ := output(m)
			want, taken := map[string]string{}, []string(nil)
			for _, each := range letters[:size] {
				if slices.Contains(bad, each) {
					want[each] = "bad"
				} else {
					taken = append(taken, each)
				}
			}
			messages := batch(letters[:size]...)
			got := refused(t, messages, o.WriteBatch(context.Background(), messages))
			equal(t, fmt.Sprint(bad, " among ", size), got, want)
			equal(t, "rows", m.rows, taken)
		}
	}
}

func TestAnOutageInTheMiddleOfIsolatingCostsNothing(t *testing.T) {
	m := &memory{poison: []string{"c"}, answers: []error{nil, nil, errors.New("cut"), errors.New("cut"), nil, errors.New("cut")}}
	o, _ := output(m)
	messages := batch("a", "b", "c", "d")
	equal(t, "refused", refused(t, messages, o.WriteBatch(context.Background(), messages)), map[string]string{"c": "bad"})
	equal(t, "rows", m.rows, []string{"a", "b", "d"})
}

func TestRowsThatAreNamedFailAlone(t *testing.T) {
	why := reason.New(reason.StageSink, "22P02", "no number")
	for n := 1; n <= 3; n++ {
		m := &memory{write: func(_ context.Context, rows sink.Rows) (sink.Result, error) {
			return sink.Result{Committed: rows.Len() - 1, Failures: []sink.Failure{{Index: rows.Len() - 1, Reason: why}}}, nil
		}}
		o, _ := output(m)
		texts := []string{"a", "b", "c"}[:n]
		messages := batch(texts...)
		err := o.WriteBatch(context.Background(), messages)
		equal(t, "refused", refused(t, messages, err), map[string]string{texts[n-1]: "22P02"})
		// What the fallback output hands on for a batch of one is the headline.
		if _, is := reason.Parse(err.Error()); is != (n == 1) {
			t.Errorf("the headline of %d records is %v", n, err)
		}
	}
}

func TestOnlyWhatIsLeftIsTriedAgain(t *testing.T) {
	m := &memory{}
	var seen [][]string
	m.write = func(_ context.Context, rows sink.Rows) (sink.Result, error) {
		seen = append(seen, documents(rows))
		switch len(seen) {
		case 1:
			return sink.Result{Committed: 2, Failures: []sink.Failure{{Index: 1, Reason: reason.New(reason.StageSink, "x", "")}}, Left: []int{0, 4}},
				errors.New("busy")
		case 2:
			return sink.Result{}, errors.New("still busy")
		case 3:
			return sink.Result{Left: []int{1}, Committed: 1}, errors.New("nearly")
		}
		return sink.Result{Failures: []sink.Failure{{Index: 0, Reason: reason.New(reason.StageSink, "y", "")}}}, nil
	}
	o, _ := output(m)
	messages := batch("a", "b", "c", "d", "e")
	equal(t, "refused", refused(t, messages, o.WriteBatch(context.Background(), messages)), map[string]string{"b": "x", "e": "y"})
	equal(t, "attempts", seen, [][]string{{"a", "b", "c", "d", "e"}, {"a", "e"}, {"a", "e"}, {"e"}})
}

func TestRowsThatFailedBeforeAreNeverWritten(t *testing.T) {
	m := &memory{}
	o, _ := output(m)
	messages := batch("a", "b", "c")
	messages[1].SetError(reason.New(reason.StageParse, "not_json", "not JSON"))
	equal(t, "refused", refused(t, messages, o.WriteBatch(context.Background(), messages)), map[string]string{"b": "not_json"})
	equal(t, "rows", m.rows, []string{"a", "c"})

	letters := &memory{}
	o, _ = output(letters, func(o *sink.Options) { o.TakesFailed = true })
	if err := o.WriteBatch(context.Background(), messages); err != nil {
		t.Fatal(err)
	}
	equal(t, "letters", letters.rows, []string{"a", "b", "c"})
}

func TestDocumentsThatNobodyHasLookedAtAreCheckedForTheSink(t *testing.T) {
	chunk := func() *origin.Chunk {
		c := &origin.Chunk{Unchecked: true}
		for _, text := range []string{`{"a": 1}`, `{"b":`, "\xef\xbb\xbf[]", "", "\"\xff\""} {
			c.Records = append(c.Records, origin.Record{Document: []byte(text)})
		}
		return c
	}
	codes := func(c *origin.Chunk) []string {
		codes := make([]string, len(c.Records))
		for i, r := range c.Records {
			if r.Failure != nil {
				codes[i] = r.Failure.Code
			}
		}
		return codes
	}
	m, c := &memory{}, chunk()
	o, _ := output(m)
	if err := o.WriteBatch(context.Background(), service.MessageBatch{c.Message()}); err == nil {
		t.Error("the batch was acknowledged as a whole")
	}
	equal(t, "rows", m.rows, []string{`{"a": 1}`, "[]"})
	equal(t, "failures", codes(c), []string{"", "not_json", "", "empty", "invalid_utf8"})

	m, c = &memory{}, chunk()
	o, _ = output(m, func(o *sink.Options) { o.TakesUnchecked = true })
	if err := o.WriteBatch(context.Background(), service.MessageBatch{c.Message()}); err != nil {
		t.Fatal(err)
	}
	equal(t, "rows as they are", len(m.rows), len(c.Records))
}

func TestSilenceIsToldWhileTheAttemptGoesOn(t *testing.T) {
	m := &memory{}
	o, log := output(m, func(o *sink.Options) { o.Silence = time.Millisecond })
	m.write = func(context.Context, sink.Rows) (sink.Result, error) {
		for len(log.all()) == 0 {
			time.Sleep(time.Millisecond)
		}
		return sink.Result{Committed: 1}, nil
	}
	if err := o.WriteBatch(context.Background(), batch("a")); err != nil {
		t.Fatal(err)
	}
	said := log.all()
	if len(said) != 2 || said[0] != "Memory does not take rows (timeout), waiting: no answer within 1ms" || !strings.Contains(said[1], "again") {
		t.Errorf("the log says %q", said)
	}
}

func TestManyWritersSayAnOutageOnce(t *testing.T) {
	m := &memory{}
	var out sync.WaitGroup
	out.Add(8)
	m.write = func(_ context.Context, rows sink.Rows) (sink.Result, error) {
		m.mu.Lock()
		m.attempts++
		first := m.attempts <= 8
		m.mu.Unlock()
		if first {
			out.Done()
			out.Wait()
			return sink.Result{}, errors.New("away")
		}
		return sink.Result{Committed: rows.Len()}, nil
	}
	o, log := output(m)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			if err := o.WriteBatch(context.Background(), batch("a")); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	away := 0
	for _, line := range log.all() {
		if strings.Contains(line, "does not take rows") {
			away++
		}
	}
	if said := log.all(); away != len(said)-away {
		t.Errorf("%d outages and other ends: %q", away, said)
	}
}

func TestNothingIsAllocatedForARow(t *testing.T) {
	m := &memory{write: func(_ context.Context, rows sink.Rows) (sink.Result, error) {
		for i := range rows.Len() {
			if _, ok := rows.Origin(i); !ok {
				return sink.Result{}, errors.New("no origin")
			}
			if _, err := rows.Document(i); err != nil {
				return sink.Result{}, err
			}
		}
		return sink.Result{Committed: rows.Len()}, nil
	}}
	o, _ := output(m)
	allocated := func(rows int) float64 {
		messages := batch(make([]string, rows)...)
		return testing.AllocsPerRun(20, func() { _ = o.WriteBatch(context.Background(), messages) })
	}
	if one, many := allocated(1), allocated(4000); one != many {
		t.Errorf("%v allocations for one row, %v for 4000", one, many)
	}
}
