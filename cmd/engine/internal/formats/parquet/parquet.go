// Package parquet turns the rows of a Parquet file that lies in memory into JSON documents. It must not
// know where the bytes come from. The format: https://parquet.apache.org/docs/file-format/
package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a record is not a Parquet file, or a row no document.
const (
	codeEmpty      = "empty"
	codeNotParquet = "not_parquet"
	codeUTF8       = "invalid_utf8"
	codeValue      = "invalid_value"
	codeLarge      = "too_large"
)

const rowsAtOnce = 64

var (
	errLevels  = errors.New("its repetition and definition levels are not consistent")
	errStopped = errors.New("stopped")
)

// Read yields a file's rows as JSON documents, or the reason for which a row is none, until yield returns false.
// What it returns is why the file cannot be read to its end; documents may have been yielded before that was known.
func Read(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) *reason.Reason {
	if len(payload) == 0 {
		return failed(codeEmpty, "empty message: there is no Parquet file")
	}
	seen, err := inspect(payload)
	if err == nil {
		err = read(seen, yield)
	}
	if errors.Is(err, encoding.ErrNotSupported) {
		err = fmt.Errorf("%w (its pages are in %s)", err, strings.Join(slices.Sorted(maps.Keys(seen.encodings)), ", "))
	}
	switch {
	case err == nil, errors.Is(err, errStopped):
		return nil
	case errors.Is(err, errTooLarge):
		return failed(codeLarge, "not read: "+err.Error())
	}
	return failed(codeNotParquet, "not Parquet: "+err.Error())
}

func failed(code, message string) *reason.Reason { return reason.New(reason.StageParse, code, message) }

// read makes an error of a panic: the library panics at some corrupt pages.
func read(seen *inspection, yield func(doc []byte, failure *reason.Reason) bool) (err error) {
	yielding := false
	defer func() {
		if yielding {
			return
		}
		if cause := recover(); cause != nil {
			err = fmt.Errorf("corrupt: %v", cause)
		}
	}()
	file, err := parquet.OpenFile(bytes.NewReader(seen.payload), int64(len(seen.payload)),
		parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return err
	}
	root, columns, err := compile(file.Root(), seen.schema)
	if err != nil {
		return err
	}
	w := writer{root: root, columns: make([][]parquet.Value, columns)}
	documents, total := 0, 0
	for _, group := range file.RowGroups() {
		if group.NumRows() == 0 {
			continue
		}
		err := eachRow(group, func(row parquet.Row) error {
			doc, failure, err := w.row(row)
			if err != nil {
				return err
			}
			documents, total = documents+1, total+len(doc)
			if documents > jsonwrite.MaxDocuments || total > jsonwrite.MaxMessage {
				return fmt.Errorf("%d rows of %d bytes: %w", documents, total, errTooLarge)
			}
			yielding = true
			more := yield(doc, failure)
			yielding = false
			if !more {
				return errStopped
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func eachRow(group parquet.RowGroup, visit func(parquet.Row) error) error {
	rows := group.Rows()
	defer func() { _ = rows.Close() }()
	buffer := make([]parquet.Row, rowsAtOnce)
	for seen := int64(0); ; {
		n, err := rows.ReadRows(buffer)
		for _, row := range buffer[:n] {
			if err := visit(row); err != nil {
				return err
			}
		}
		seen += int64(n)
		switch {
		case errors.Is(err, io.EOF) && seen == group.NumRows():
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case err != nil || n == 0:
			return fmt.Errorf("a row group ends after %d of %d rows", seen, group.NumRows())
		}
	}
}

// writer holds one row's values by column; each column loses its first value when that is written.
type writer struct {
	root     *node
	columns  [][]parquet.Value
	out      []byte
	rejected *reason.Reason
}

// row returns a document whose bytes belong to the caller.
func (w *writer) row(row parquet.Row) ([]byte, *reason.Reason, error) {
	clear(w.columns)
	row.Range(func(column int, values []parquet.Value) bool {
		w.columns[column] = values
		return true
	})
	w.out, w.rejected = w.out[:0], nil
	if err := w.object(w.root); err != nil {
		return nil, nil, err
	}
	if len(w.out) > jsonwrite.MaxDocument {
		return nil, nil, fmt.Errorf("a row of %d bytes: %w", len(w.out), errTooLarge)
	}
	if w.rejected != nil {
		return nil, w.rejected, nil
	}
	return bytes.Clone(w.out), nil, nil
}

func (w *writer) reject(code, message string) {
	if w.rejected == nil {
		w.rejected = failed(code, message)
	}
}

func (w *writer) years(seconds int64) {
	if !jsonwrite.InYears(seconds) {
		w.reject(codeValue, "a date or timestamp lies outside the years 1 to 9999")
	}
}

func (w *writer) instant(t time.Time, zoned bool) {
	w.years(t.Unix())
	if zoned {
		w.out = jsonwrite.Instant(w.out, t)
		return
	}
	w.out = jsonwrite.Local(w.out, t)
}
