package workers

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"ddpm/engine/internal/records"
	"ddpm/engine/internal/records/reason"
)

// What the engine and a worker say to each other, over two pipes; its other half is ddpm/plugins/worker.py.
//
// A request is a number of records (4 bytes), each with two lengths (4 bytes each), what is known about it as JSON
// ([topic, partition, offset, timestamp in ms or null, key, [[header, value], …]]) and its payload. Numbers are big-endian. An answer is frames: a kind, a length (4 bytes), a content.
const (
	frameReady    = 'R' // The plugin is loaded.
	frameBroken   = 'F' // It cannot be loaded; the content says why.
	frameDocument = 'D' // A document of the record, as JSON.
	frameBad      = 'B' // A document that cannot be read: a failure.
	frameWhole    = 'W' // A record that cannot be read: a failure.
	frameEnd      = 'E' // The end of a record.
)

// exitOutOfMemory is the exit code of a worker that reached its memory limit.
const exitOutOfMemory = 86

// maxFrame bounds what a worker may claim to send in one piece.
const maxFrame = 512 << 20

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func writeRequest(w *bufio.Writer, batch []records.Record) error {
	if err := writeLength(w, len(batch)); err != nil {
		return err
	}
	for _, record := range batch {
		about, err := json.Marshal(describe(record))
		if err != nil {
			return err
		}
		parts := [][]byte{about, record.Payload}
		for _, part := range parts {
			if err := writeLength(w, len(part)); err != nil {
				return err
			}
		}
		for _, part := range parts {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func writeLength(w *bufio.Writer, length int) error {
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], uint32(length)) //nolint:gosec // Kafka's records are below 2 GiB.
	_, err := w.Write(number[:])
	return err
}

// describe is what a plugin is notified about a record. Keys and headers are bytes; JSON carries them as texts of one
// character a byte (Latin-1), which costs nothing for the usual ones.
func describe(record records.Record) []any {
	o := record.Origin
	headers := make([][2]string, 0, len(o.Headers))
	for _, header := range o.Headers {
		for _, value := range header.Values {
			headers = append(headers, [2]string{header.Name, latin1(value)})
		}
	}
	var timestamp any
	if o.HasTimestamp {
		timestamp = o.TimestampMS
	}
	return []any{o.Topic, o.Partition, o.Offset, timestamp, latin1(o.Key), headers}
}

func latin1(bytes string) string {
	plain := true
	for i := 0; i < len(bytes) && plain; i++ {
		plain = bytes[i] < utf8.RuneSelf
	}
	if plain {
		return bytes
	}
	runes := make([]rune, len(bytes))
	for i := range runes {
		runes[i] = rune(bytes[i])
	}
	return string(runes)
}

func readFrame(r *bufio.Reader) (kind byte, content []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > maxFrame {
		return 0, nil, fmt.Errorf("the worker sent a frame of %d bytes", length)
	}
	content = make([]byte, length)
	_, err = io.ReadFull(r, content)
	return head[0], content, err
}

// readResult reads the answer for one record; waits is called whenever that may have to wait.
func readResult(r *bufio.Reader, waits func()) (result records.Result, err error) {
	for {
		if r.Buffered() == 0 {
			waits()
		}
		kind, content, err := readFrame(r)
		if err != nil {
			return records.Result{}, err
		}
		switch kind {
		case frameDocument:
			result.Documents = append(result.Documents, records.Document{JSON: content})
		case frameBad:
			result.Documents = append(result.Documents, records.Document{Failure: readFailure(content)})
		case frameWhole:
			result.Whole = readFailure(content)
		case frameEnd:
			return result, nil
		default:
			return records.Result{}, fmt.Errorf("the worker sent a frame of the unknown kind %q", kind)
		}
	}
}

func readFailure(content []byte) *reason.Reason {
	var f failure
	if err := json.Unmarshal(content, &f); err != nil {
		f = failure{codeFailed, string(content)}
	}
	return reason.New(reason.StageParse, f.Code, f.Message)
}
