// Package files is the second sink of docs/writing-a-sink.md: it writes records into files of many batches, as lines of JSON.
package files

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Writes records into files, as lines of JSON.").
		Fields(
			service.NewStringField("folder").Description("Where to."),
			service.NewDurationField("age").Description("A file is closed so long after its first record.").Default("5m"),
			service.NewOutputMaxInFlightField().Default(64),
		)
	err := service.RegisterBatchOutput("json_files", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			folder, folderErr := conf.FieldString("folder")
			age, ageErr := conf.FieldDuration("age")
			maxInFlight, err = conf.FieldMaxInFlight()
			if err = errors.Join(folderErr, ageErr, err); err != nil {
				return nil, policy, 0, err
			}
			f := &files{folder: folder}
			f.Collector = sink.NewCollector(f.open, sink.Limits{Writes: maxInFlight, Age: age}, mgr)
			options := sink.Options{Name: "the folder " + folder, Classes: []string{classDisk}, Metrics: sink.MetricsOf("json_files")}
			return sink.New(f, options, mgr), policy, maxInFlight, nil
		})
	if err != nil {
		panic(err)
	}
}

const (
	classDisk = "disk"
	temporary = ".open-"
)

// files is the sink. Its Write is that of the Collector.
type files struct {
	*sink.Collector
	folder string
}

// Connect makes the folder.
func (f *files) Connect(context.Context) error { return os.MkdirAll(f.folder, 0o755) }

// Classify says that every error is about the disk: what is wrong with a row was found before.
func (f *files) Classify(error) sink.Verdict { return sink.Verdict{Class: classDisk} }

// Close has nothing to do: the writes that wait have ended by then.
func (f *files) Close(context.Context) error { return nil }

// open begins a file under a name that readers leave out.
func (f *files) open() (sink.Unit, error) {
	file, err := os.CreateTemp(f.folder, temporary+"*")
	if err != nil {
		return nil, err
	}
	return &unit{File: file, folder: f.folder}, nil
}

// unit is a file on its way.
type unit struct {
	*os.File
	folder, name string
}

// Add appends rows. The file is called after its first record, and by a part that no other file has: one that was closed is
// never replaced.
func (u *unit) Add(rows sink.Rows) (refused []sink.Failure, err error) {
	for i := range rows.Len() {
		var line bytes.Buffer
		document, err := rows.Document(i)
		if err != nil || json.Compact(&line, document) != nil {
			refused = append(refused, sink.Failure{Index: i, Reason: reason.New(reason.StageSink, "not_json", "not JSON")})
			continue
		}
		if from, ok := rows.Origin(i); ok && u.name == "" {
			own := strings.TrimPrefix(filepath.Base(u.Name()), temporary)
			u.name = fmt.Sprintf("%s-%d-%d-%s.jsonl", from.Topic, from.Partition, from.Offset, own)
		}
		line.WriteByte('\n')
		if _, err := line.WriteTo(u.File); err != nil {
			return nil, err
		}
	}
	return refused, nil
}

// Close makes the file durable, and only then visible.
func (u *unit) Close(context.Context) error {
	if u.name == "" {
		u.Drop()
		return nil
	}
	if err := errors.Join(u.Sync(), u.File.Close()); err != nil {
		u.Drop()
		return err
	}
	if err := os.Rename(u.Name(), filepath.Join(u.folder, u.name)); err != nil {
		u.Drop()
		return err
	}
	folder, err := os.Open(u.folder)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

// Drop removes the file.
func (u *unit) Drop() { _ = errors.Join(u.File.Close(), os.Remove(u.Name())) }
