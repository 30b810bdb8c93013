package postgrescopy

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

// Codes of the reasons for which a message cannot become a row.
const (
	codeNotJSON   = "not_json"
	codeNotObject = "not_an_object"
)

// maxKept is the largest buffer that is kept for the next batch.
const maxKept = 16 << 20

// row is a record as COPY text: its place in the batch, its identity (item is its place in a record of
// many rows), and the end of its line.
type row struct {
	index             int
	source, partition int64
	offset, item      int64
	end               int
}

// encoded is a batch as COPY text, one line for each row. failures are the records that could not
// become a row.
type encoded struct {
	text     []byte
	rows     []row
	failures []sink.Failure
	// doubts are the values that the types of their columns do not accept. The rows that have one are the last ones.
	doubts []spot
	// shapes are the columns' types that the text is for.
	shapes []shape

	// conflicted remembers between attempts that some of the rows are, or may be, in the table.
	conflicted bool
	// lonely is why the batch waits for company, if it does; result is what became of it when it got some.
	lonely *lonely
	result *sink.Result
	// tried reports whether the batch has waited for company before.
	tried bool
	// single is set when the batch has to go without company.
	single bool
}

// lines returns the text of the rows from, up to but not including, to.
func (b *encoded) lines(from, to int) []byte {
	start := 0
	if from > 0 {
		start = b.rows[from-1].end
	}
	return b.text[start:b.rows[to-1].end]
}

// encoder turns batches into COPY text. It is safe to share.
type encoder struct {
	columns []column
	// shapes are the columns' types as the server, or a preview's configuration, gave them last.
	shapes  atomic.Pointer[[]shape]
	finds   *finds
	finder  *jsontext.Finder
	sources map[string]int64
	indexed bool
	scratch sync.Pool
	buffers sync.Pool
}

// scratch is what the encoding of one message needs; it is reused from message to message.
type scratch struct {
	scanner jsontext.Scanner
	values  []jsontext.Value
	text    []byte
	// list is the text of an array, or of JSON, before it is escaped; inner that of an element.
	list, inner []byte
	// doubtful is a column whose type does not accept the value of the last row, -1 if there is none; aside are the
	// rows that have such a value.
	doubtful int
	aside    encoded
	// unseen are the columns that no document had a value for, up to here.
	unseen []int
}

func newEncoder(c *config) *encoder {
	e := &encoder{columns: c.columns, sources: c.sources, indexed: c.indexed, finds: newFinds(c.columns)}
	shapes := slices.Repeat([]shape{newShape(kindOther, false, ',')}, len(c.columns))
	e.shapes.Store(&shapes)
	if len(c.paths) > 0 {
		e.finder = jsontext.NewFinder(c.paths)
	}
	e.scratch.New = func() any { return &scratch{values: make([]jsontext.Value, len(c.paths))} }
	e.buffers.New = func() any { return &encoded{} }
	return e
}

// encode returns the batch as COPY text. Its errors are obstacles: they say that the configuration
// does not fit, never that a record is bad.
func (e *encoder) encode(rows sink.Rows) (*encoded, error) {
	b := e.buffers.Get().(*encoded)
	s := e.scratch.Get().(*scratch)
	defer e.scratch.Put(s)
	b.text = slices.Grow(b.text, estimate(rows))
	shapes := *e.shapes.Load()
	b.shapes = shapes
	before := e.finds.unseen(s)
	for i := range rows.Len() {
		if err := e.add(b, s, shapes, i, rows); err != nil {
			e.release(b)
			return nil, err
		}
	}
	b.endWith(&s.aside)
	if last := rows.Len() - 1; before > 0 && last >= 0 {
		document, _ := rows.Document(last)
		e.finds.note(s, before, len(b.rows), document)
	}
	return b, nil
}

// estimate returns about how long a batch's text becomes, so that its buffer need not grow by copies.
func estimate(rows sink.Rows) int {
	const identityAndNewline = 40
	size := 0
	for i := range rows.Len() {
		if doc, err := rows.Document(i); err == nil {
			size += len(doc) + len(doc)/32 + identityAndNewline
		}
	}
	return size
}

// release hands a batch's memory to the next one.
func (e *encoder) release(b *encoded) {
	if b == nil || cap(b.text) > maxKept {
		return
	}
	b.clear()
	e.buffers.Put(b)
}

// clear leaves nothing but memory.
func (b *encoded) clear() { *b = encoded{text: b.text[:0], rows: b.rows[:0], doubts: b.doubts[:0]} }

// endWith puts rows with doubtful values behind the others.
func (b *encoded) endWith(aside *encoded) {
	for nth := range aside.rows {
		b.doubts = append(b.doubts, spot{len(b.rows), aside.doubts[nth].col})
		b.append(aside, nth)
	}
	aside.clear()
}

func (e *encoder) add(b *encoded, s *scratch, shapes []shape, index int, rows sink.Rows) error {
	o, ok := rows.Origin(index)
	if !ok {
		return &obstacle{class: classNoOrigin, text: "a record has no origin: the pipeline must begin with the ddpm_origin processor"}
	}
	if o.HasIndex != e.indexed {
		return &obstacle{class: classNoOrigin, text: fmt.Sprintf("indexed is %t, but the parser gives %s: rows could not be told apart",
			e.indexed, map[bool]string{true: "many documents a record", false: "no place within a record"}[o.HasIndex])}
	}
	source, ok := e.sources[o.Topic]
	if o.Source != nil {
		source, ok = *o.Source, true
	}
	if !ok {
		return &obstacle{class: classUnknownSource, text: fmt.Sprintf("the topic %q has no source number; known are: %s",
			o.Topic, e.knownTopics())}
	}
	doc, refused := e.read(s, rows, index, o)
	if refused != nil {
		b.failures = append(b.failures, sink.Failure{Index: index, Reason: refused})
		return nil
	}
	start := len(b.text)
	text := b.text
	s.doubtful = -1
	text = append(strconv.AppendInt(text, source, 10), '\t')
	text = append(strconv.AppendInt(text, int64(o.Partition), 10), '\t')
	text = strconv.AppendInt(text, o.Offset, 10)
	if e.indexed {
		text = strconv.AppendInt(append(text, '\t'), int64(o.Index), 10)
	}
	text, refused = e.appendColumns(text, s, shapes, doc, o)
	if refused != nil {
		b.text = text[:start]
		b.failures = append(b.failures, sink.Failure{Index: index, Reason: refused})
		return nil
	}
	b.text = append(text, '\n')
	b.rows = append(b.rows, row{index, source, int64(o.Partition), o.Offset, int64(o.Index), len(b.text)})
	if s.doubtful >= 0 {
		last := len(b.rows) - 1
		s.aside.append(b, last)
		s.aside.doubts = append(s.aside.doubts, spot{last, len(identity(e.indexed)) + s.doubtful})
		b.text, b.rows = b.text[:start], b.rows[:last]
	}
	return nil
}

// read returns a row's document and keeps in s where the values of its columns are, or says why it has none.
func (e *encoder) read(s *scratch, rows sink.Rows, index int, o *origin.Origin) ([]byte, *reason.Reason) {
	doc, err := rows.Document(index)
	var known *reason.Reason
	if errors.As(err, &known) {
		return nil, known
	} else if err != nil {
		return nil, refusal(codeNotJSON, "the message cannot be encoded: "+err.Error())
	}
	notJSON := func(err error) *reason.Reason { return refusal(codeNotJSON, "not JSON: "+err.Error()) }
	if rows.Unchecked() {
		if doc, known = origin.Text(doc); known != nil {
			return nil, known
		}
		notJSON = origin.NotJSON
	}
	if e.finder == nil {
		if rows.Unchecked() {
			if err := s.scanner.Validate(doc); err != nil {
				return nil, notJSON(err)
			}
		}
		return doc, nil
	}
	kind, err := e.finder.Find(&s.scanner, doc, s.values)
	if err != nil {
		return nil, notJSON(err)
	}
	if kind != jsontext.Object && !passedTombstone(kind, o) {
		return nil, refusal(codeNotObject, "the document is not a JSON object, so that it has no fields to fill the columns from")
	}
	return doc, nil
}

// passedTombstone reports whether a document is the null that stands for a record without a value: all its fields are NULL.
func passedTombstone(kind jsontext.Kind, o *origin.Origin) bool {
	return kind == jsontext.Null && o.Null
}

// appendColumns appends the values of a document that was read, each behind a tab, or says which of them
// its column's format cannot read.
func (e *encoder) appendColumns(text []byte, s *scratch, shapes []shape, doc []byte, o *origin.Origin) ([]byte, *reason.Reason) {
	for i := len(s.unseen) - 1; i >= 0; i-- {
		if s.values[e.columns[s.unseen[i]].slot].Kind != jsontext.Missing {
			s.found(i)
		}
	}
	for i := range e.columns {
		col := &e.columns[i]
		text = append(text, '\t')
		var refused *reason.Reason
		switch col.from {
		case fromField:
			if sh := shapes[i]; sh.plain && col.format == nil {
				v := s.values[col.slot]
				if v.Kind == jsontext.String && !sh.accepts(s.plain(doc, v)) {
					s.doubtful = i
				}
				text = appendValue(text, s, doc, v, sh.kind)
				continue
			}
			text, refused = col.appendField(text, s, shapes[i], doc, s.values[col.slot])
		case fromDocument:
			text = appendEscaped(text, doc)
		default:
			text, refused = col.appendOrigin(text, s, shapes[i], o)
		}
		if refused != nil {
			refused.Column = col.name
			return text, refused
		}
	}
	return text, nil
}

func refusal(code, message string) *reason.Reason {
	return reason.New(reason.StageSink, code, message)
}

func (e *encoder) knownTopics() string {
	topics := make([]string, 0, len(e.sources))
	for topic := range e.sources {
		topics = append(topics, strconv.Quote(topic))
	}
	sort.Strings(topics)
	return strings.Join(topics, ", ")
}

func appendNull(dst []byte) []byte { return append(dst, `\N`...) }

// escapes holds what stands behind the backslash for the bytes that have a meaning in COPY text.
var escapes = [256]byte{'\\': '\\', '\t': 't', '\n': 'n', '\r': 'r'}

// appendEscaped appends bytes as COPY text. What is not text for Postgres (a zero byte, invalid
// UTF-8) stays as it is: Postgres refuses it, and it alone.
func appendEscaped(dst, src []byte) []byte {
	copied := 0
	for i, c := range src {
		if escape := escapes[c]; escape != 0 {
			dst = append(dst, src[copied:i]...)
			dst = append(dst, '\\', escape)
			copied = i + 1
		}
	}
	return append(dst, src[copied:]...)
}
