// Package ndjson reads records of many JSON documents, one on each line.
package ndjson

import (
	"bytes"
	"fmt"
	"iter"
	"sync"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a line is not a JSON document.
const (
	codeUTF8    = "invalid_utf8"
	codeNotJSON = "not_json"
)

// Decoder yields each line that is not blank; what is on it stays as it is. It is safe to share.
type Decoder struct {
	scanners sync.Pool
}

// New returns a Decoder.
func New() *Decoder {
	return &Decoder{scanners: sync.Pool{New: func() any { return &jsontext.Scanner{} }}}
}

// Decode yields the document of each line, or the reason why it is none; a byte order mark is left out. No record is bad as a whole.
func (d *Decoder) Decode(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) {
	scanner := d.scanners.Get().(*jsontext.Scanner)
	defer d.scanners.Put(scanner)
	number := 0
	for line := range linesOf(scanner, jsontext.WithoutMark(payload)) {
		number++
		line = bytes.Trim(line, " \t\r\n")
		if len(line) == 0 {
			continue
		}
		if failure := check(scanner, line, number); failure != nil {
			if !yield(nil, failure) {
				return
			}
			continue
		}
		if !yield(bytes.Clone(line), nil) {
			return
		}
	}
}

// linesOf takes CR for the end of a line where there is no LF, unless all is one document with CR between its tokens.
func linesOf(scanner *jsontext.Scanner, payload []byte) iter.Seq[[]byte] {
	if bytes.IndexByte(payload, '\n') < 0 && bytes.IndexByte(payload, '\r') >= 0 && scanner.Validate(payload) != nil {
		return bytes.SplitSeq(payload, []byte("\r"))
	}
	return bytes.Lines(payload)
}

func check(scanner *jsontext.Scanner, line []byte, number int) *reason.Reason {
	if at := jsontext.InvalidUTF8(line); at >= 0 {
		return failure(codeUTF8, fmt.Sprintf("line %d: invalid UTF-8 at byte %d: 0x%02x", number, at, line[at]))
	}
	if err := scanner.Validate(line); err != nil {
		return failure(codeNotJSON, fmt.Sprintf("line %d: not JSON: %s", number, err))
	}
	return nil
}

func failure(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
