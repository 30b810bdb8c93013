// Package lines makes documents of plain text: one of each line.
package lines

import (
	"bytes"
	"fmt"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

const codeUTF8 = "invalid_utf8"

// Decode yields {"line": text} for each line, empty ones too, without its line break (\n or \r\n) and the
// record's byte order mark. A last line break ends the last line and begins no other.
func Decode(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) {
	number := 0
	for line := range bytes.Lines(jsontext.WithoutMark(payload)) {
		number++
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if at := jsontext.InvalidUTF8(line); at >= 0 {
			message := fmt.Sprintf("line %d: invalid UTF-8 at byte %d: 0x%02x", number, at, line[at])
			if !yield(nil, reason.New(reason.StageParse, codeUTF8, message)) {
				return
			}
			continue
		}
		doc := append(make([]byte, 0, len(line)+16), `{"line":`...)
		if !yield(append(jsonwrite.String(doc, line), '}'), nil) {
			return
		}
	}
}
