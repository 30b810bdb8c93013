// Package profiling records where the engine spends CPU time and memory, when no matter who started it
// asks for that: the whole run is saved at its end, and what happens now can be asked for on loopback.
//
// An engine that is ended by force saves nothing. The records do not pass through here: whatever
// goes wrong is an error in the log, and the engine goes on without profiles.
package profiling

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	netpprof "net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/google/pprof/profile"

	"ddpm/engine/internal/contract"
)

// EnvFolder names the environment variable with the folder into which the profiles are saved.
const EnvFolder = contract.EnvProfileFolder

// The files in that folder, both in pprof's format.
const (
	CPUFile    = "cpu.pprof"
	MemoryFile = "memory.pprof"
)

const (
	usualSeconds  = 30
	longestHeader = 5 * time.Second
)

// Start begins to record if the environment names a folder, and returns what saves the profiles.
func Start() (save func()) {
	folder := os.Getenv(EnvFolder)
	os.Unsetenv(EnvFolder)
	if folder == "" {
		return func() {}
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("folder", folder)
	r := &recorder{}
	url, err := r.start()
	if err != nil {
		log.Error("no profiles are recorded", "error", err.Error())
		return func() {}
	}
	log.Info("profiles are recorded", "url", url)
	return func() {
		if err := r.save(folder); err != nil {
			log.Error("the profiles cannot be saved", "error", err.Error())
		}
	}
}

// recorder keeps the CPU profile in pieces, because Go records only one at a time: anyone who asks for
// the next seconds gets a piece of their own, which is also a part of the whole.
type recorder struct {
	server http.Server
	// asking is held while somebody's piece is recorded, and for good once all is saved.
	asking  sync.Mutex
	piece   bytes.Buffer
	earlier []*profile.Profile
}

func (r *recorder) start() (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	if err := pprof.StartCPUProfile(&r.piece); err != nil {
		listener.Close()
		return "", err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", netpprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", r.answer)
	mux.HandleFunc("GET /debug/pprof/symbol", netpprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", netpprof.Trace)
	r.server = http.Server{Handler: mux, ReadHeaderTimeout: longestHeader}
	go func() { _ = r.server.Serve(listener) }()
	return fmt.Sprintf("http://%s/debug/pprof/", listener.Addr()), nil
}

// answer sends the CPU profile of the next seconds.
func (r *recorder) answer(w http.ResponseWriter, request *http.Request) {
	seconds, err := strconv.ParseFloat(request.FormValue("seconds"), 64)
	if err != nil || seconds <= 0 {
		seconds = usualSeconds
	}
	if !r.asking.TryLock() {
		http.Error(w, "somebody else is asking for a CPU profile", http.StatusConflict)
		return
	}
	defer r.asking.Unlock()
	_, err = r.next()
	if err == nil {
		select {
		case <-time.After(time.Duration(seconds * float64(time.Second))):
		case <-request.Context().Done():
		}
		var asked *profile.Profile
		if asked, err = r.next(); err == nil {
			w.Header().Set("Content-Type", "application/octet-stream")
			_ = asked.Write(w)
			return
		}
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// next ends a piece, begins another one and returns the one that ended.
func (r *recorder) next() (*profile.Profile, error) {
	ended, err := r.end()
	return ended, errors.Join(err, pprof.StartCPUProfile(&r.piece))
}

func (r *recorder) end() (*profile.Profile, error) {
	pprof.StopCPUProfile()
	defer r.piece.Reset()
	ended, err := profile.ParseData(r.piece.Bytes())
	if err != nil {
		return nil, err
	}
	// In one piece again, so that many questions do not take ever more memory.
	whole, err := profile.Merge(append(r.earlier, ended))
	if err != nil {
		return nil, err
	}
	r.earlier = []*profile.Profile{whole}
	return ended, nil
}

func (r *recorder) save(folder string) error {
	// This also ends what somebody waits for.
	_ = r.server.Close()
	r.asking.Lock()
	if _, err := r.end(); err != nil {
		return err
	}
	// Counts of memory are those of the last collection.
	runtime.GC()
	memory := func(w io.Writer) error { return pprof.Lookup("heap").WriteTo(w, 0) }
	return errors.Join(write(folder, CPUFile, r.earlier[0].Write), write(folder, MemoryFile, memory))
}

// write makes a file appear complete or not at all.
func write(folder, name string, content func(io.Writer) error) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, "."+name+".")
	if err != nil {
		return err
	}
	err = errors.Join(content(file), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		os.Remove(file.Name())
	}
	return err
}
