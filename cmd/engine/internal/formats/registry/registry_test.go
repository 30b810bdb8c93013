package registry

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// fakeRegistry answers paths with a status and a body, and counts the questions.
type fakeRegistry struct {
	answers   map[string]string
	status    atomic.Int64
	questions atomic.Int64
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.questions.Add(1)
	if status := f.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	body, ok := f.answers[r.URL.EscapedPath()]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		body = `{"error_code":40403,"message":"Schema not found"}`
	}
	_, _ = w.Write([]byte(body))
}

type events struct{ obstacles, recoveries atomic.Int64 }

func start(t *testing.T, answers map[string]string) (*fakeRegistry, *Client, *events) {
	t.Helper()
	fake, seen := &fakeRegistry{answers: answers}, &events{}
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	client, err := New(server.URL+"/", Access{}, func(error) { seen.obstacles.Add(1) }, func() { seen.recoveries.Add(1) })
	if err != nil {
		t.Fatal(err)
	}
	client.firstPause, client.longest = time.Millisecond, 4*time.Millisecond
	return fake, client, seen
}

func record(id byte, datum string) []byte { return append([]byte{0, 0, 0, 0, id}, datum...) }

func TestASchemaIsAskedForOnce(t *testing.T) {
	fake, client, _ := start(t, map[string]string{"/schemas/ids/7": `{"schema":"\"string\""}`})
	for range 3 {
		doc, failure, err := client.Decode(t.Context(), record(7, "\x04hi"))
		if err != nil || failure != nil || string(doc) != `"hi"` {
			t.Fatalf("%s %v %v", doc, failure, err)
		}
	}
	if n := fake.questions.Load(); n != 1 {
		t.Fatalf("%d questions", n)
	}
}

func TestReferencesAreResolvedInTheirOrder(t *testing.T) {
	_, client, _ := start(t, map[string]string{
		"/schemas/ids/1": `{"schemaType":"AVRO","schema":"{\"type\":\"array\",\"items\":\"x.B\"}",
			"references":[{"name":"x.B","subject":"b/1","version":3}]}`,
		"/subjects/b%2F1/versions/3": `{"schema":"{\"type\":\"record\",\"name\":\"x.B\",\"fields\":[{\"name\":\"a\",\"type\":\"x.A\"}]}",
			"references":[{"name":"x.A","subject":"a","version":1}]}`,
		"/subjects/a/versions/1": `{"schema":"{\"type\":\"enum\",\"name\":\"x.A\",\"symbols\":[\"YES\"]}"}`,
	})
	doc, failure, err := client.Decode(t.Context(), record(1, "\x02\x00\x00"))
	if err != nil || failure != nil || string(doc) != `[{"a":"YES"}]` {
		t.Fatalf("%s %v %v", doc, failure, err)
	}
}

func TestWhatTheRegistrySaysMakesPoison(t *testing.T) {
	fake, client, seen := start(t, map[string]string{
		"/schemas/ids/2": `{"schemaType":"PROTOBUF","schema":"message A {}"}`,
		"/schemas/ids/3": `{"schema":"{\"type\":\"recrod\"}"}`,
	})
	for _, c := range []struct {
		payload []byte
		code    string
	}{
		{record(9, "x"), codeUnknownSchema},
		{record(9, "y"), codeUnknownSchema},
		{record(2, ""), codeBadSchema},
		{record(3, ""), codeBadSchema},
		{[]byte(`{"a":1}`), codeWireFormat},
		{nil, codeWireFormat},
		{[]byte{0, 0, 1}, codeWireFormat},
	} {
		_, failure, err := client.Decode(t.Context(), c.payload)
		if err != nil || failure == nil || failure.Code != c.code {
			t.Errorf("%x: %v %v", c.payload, failure, err)
		}
	}
	if fake.questions.Load() != 3 || seen.obstacles.Load() != 0 {
		t.Fatalf("%d questions, %d obstacles", fake.questions.Load(), seen.obstacles.Load())
	}
}

func TestARegistryThatIsAwayIsWaitedForAndReportedOnce(t *testing.T) {
	for _, status := range []int64{http.StatusServiceUnavailable, http.StatusUnauthorized, http.StatusNotFound} {
		fake, client, seen := start(t, map[string]string{"/schemas/ids/7": `{"schema":"\"string\""}`})
		fake.status.Store(status)
		done := make(chan string)
		go func() {
			doc, failure, err := client.Decode(context.Background(), record(7, "\x04hi"))
			if failure != nil || err != nil {
				t.Errorf("%d: %v %v", status, failure, err)
			}
			done <- string(doc)
		}()
		for fake.questions.Load() < 5 {
			select {
			case doc := <-done:
				t.Fatalf("%d: gave up with %q", status, doc)
			case <-time.After(time.Millisecond):
			}
		}
		fake.status.Store(0)
		if doc := <-done; doc != `"hi"` {
			t.Fatalf("%d: %s", status, doc)
		}
		if seen.obstacles.Load() != 1 || seen.recoveries.Load() != 1 {
			t.Fatalf("%d: %d obstacles, %d recoveries", status, seen.obstacles.Load(), seen.recoveries.Load())
		}
	}
}

func TestAnEndedContextEndsTheWait(t *testing.T) {
	fake, client, _ := start(t, nil)
	fake.status.Store(http.StatusBadGateway)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, failure, err := client.Decode(ctx, record(7, "")); !errors.Is(err, context.DeadlineExceeded) || failure != nil {
		t.Fatalf("%v %v", failure, err)
	}
}

func TestAnAddressIsChecked(t *testing.T) {
	for _, address := range []string{"", "localhost:8081", "ftp://host", "http://"} {
		if _, err := New(address, Access{}, nil, nil); err == nil {
			t.Errorf("%q is taken", address)
		}
	}
}

func TestACAOfOnesOwnAndATokenLetIn(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(`{"schema": "\"int\""}`))
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := New(server.URL, Access{CA: ca, Token: "the-token"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if doc, failure, err := client.Decode(context.Background(), []byte{0, 0, 0, 0, 1, 2}); err != nil || failure != nil || string(doc) != "1" {
		t.Errorf("%s, %v, %v", doc, failure, err)
	}
	for name, access := range map[string]Access{"no CA": {Token: "the-token"}, "no token": {CA: ca}} {
		ctx, cancel := context.WithCancel(context.Background())
		client, err := New(server.URL, access, func(error) { cancel() }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := client.Decode(ctx, []byte{0, 0, 0, 0, 1, 2}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(server.URL, Access{CA: filepath.Join(t.TempDir(), "none")}, nil, nil); err == nil {
		t.Error("a file that is not there is taken")
	}
}
