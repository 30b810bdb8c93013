package csvtext

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"ddpm/engine/internal/records/reason"
)

// likely are the characters that stand between values in other people's files; the first ones stand in few names.
const (
	likely  = ",;\t|:^~ \x01\x1f"
	obvious = 4
)

// separator begins the line that says to spreadsheets what stands between the values.
const separator = "sep="

// mostNames bounds how many names a message lists.
const mostNames = 20

// skipSeparatorLine moves behind a line such as "sep=;" that agrees with the delimiter, and refuses another one.
func (d *Decoder) skipSeparatorLine(rows *scanner) *reason.Reason {
	line := rows.firstLine(0)
	if len(line) != len(separator)+1 || !bytes.HasPrefix(rows.in, line) || !bytes.EqualFold(line[:len(separator)], []byte(separator)) {
		return nil
	}
	switch named := line[len(separator)]; {
	case named == d.delimiter:
		rows.at = len(line)
		rows.lineBreak()
	case len(d.columns) == 0:
		return failed(codeHeader, fmt.Sprintf("the first line %q says that %q stands between the values, and not %q: %s",
			line, named, d.delimiter, setDelimiter(named)))
	}
	return nil
}

// named returns the columns that a header names, or why it cannot be the header that is wanted.
func (d *Decoder) named(values []value, line []byte) ([][]byte, *reason.Reason) {
	exact, close := d.fitting(values)
	switch {
	case len(d.wanted) == 0:
		if other := d.hidden(values); other != 0 {
			return nil, failed(codeHeader, fmt.Sprintf("the header %.200q is one name: %s, or put the name in quotes",
				line, setDelimiter(other)))
		}
	case exact == 0 && len(close) == 0:
		return nil, failed(codeHeader, d.foreign(line))
	case len(close) > 0:
		return nil, failed(codeHeader, fmt.Sprintf("the header %.200q has %s: names are compared with case and spaces; "+
			"write the name in postgres.columns as it stands in the header, with from:", line, strings.Join(close, ", ")))
	}
	keys, err := keysOf(values)
	if err != nil {
		return nil, failed(codeHeader, fmt.Sprintf("the header %.200q: %s; set source.options.columns if records have no "+
			"line with names", line, err))
	}
	return keys, nil
}

// fitting counts the names that are wanted, and lists those that would be if case and spaces did not count.
func (d *Decoder) fitting(values []value) (exact int, close []string) {
	var missing []string
	for _, name := range d.wanted {
		if !slices.ContainsFunc(values, func(v value) bool { return string(v.text) == name }) {
			missing = append(missing, name)
		}
	}
	for _, v := range values {
		if slices.Contains(d.wanted, string(v.text)) {
			exact++
			continue
		}
		for _, name := range missing {
			if strings.EqualFold(strings.TrimSpace(string(v.text)), strings.TrimSpace(name)) {
				close = append(close, fmt.Sprintf("%.60q where %.60q is wanted", v.text, name))
			}
		}
	}
	return exact, close[:min(len(close), mostNames)]
}

// foreign says what to do about a header without any wanted name.
func (d *Decoder) foreign(line []byte) string {
	names := strings.Join(d.wanted[:min(len(d.wanted), mostNames)], ", ")
	advice := "set source.options.columns if records have no line with names"
	best := 0
	for _, other := range []byte(likely) {
		if values := split(line, other); other != d.delimiter {
			if exact, close := d.fitting(values); exact+len(close) > best {
				best, advice = exact+len(close), setDelimiter(other)
			}
		}
	}
	return fmt.Sprintf("the header %.200q names none of the columns that the table is filled from (%s): %s", line, names, advice)
}

// hidden returns the delimiter that a header of one name without quotes seems to have, or 0.
func (d *Decoder) hidden(values []value) byte {
	if len(values) != 1 || values[0].quoted {
		return 0
	}
	for _, other := range []byte(likely[:obvious]) {
		if other != d.delimiter && bytes.IndexByte(values[0].text, other) >= 0 {
			return other
		}
	}
	return 0
}

// repeated reports whether the values of a row are the names of the columns that were given.
func (d *Decoder) repeated(values []value) bool {
	return len(d.columns) > 1 && slices.EqualFunc(values, d.columns, func(v value, name string) bool {
		return string(v.text) == name
	})
}

// otherCount names the delimiter that would give a line as many values as there are columns.
func (d *Decoder) otherCount(line []byte, columns int) string {
	for _, other := range []byte(likely[:obvious]) {
		if other != d.delimiter && columns > 1 && len(split(line, other)) == columns {
			return fmt.Sprintf("; with %q between the values it would: %s", other, setDelimiter(other))
		}
	}
	return ""
}

func split(line []byte, delimiter byte) []value {
	rows := scanner{in: line, delimiter: delimiter, end: '\n', line: 1}
	values, err := rows.next()
	if err != nil {
		return nil
	}
	return values
}

func setDelimiter(to byte) string {
	return fmt.Sprintf("set source.parser to csv and source.options.delimiter to %q", string(to))
}
