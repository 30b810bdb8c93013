package postgrescopy

import (
	"fmt"
	"strings"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
	"ddpm/engine/internal/sinks/pgtext"
)

const fieldColumnType = "type"

// Cell is a value as it would be written into a column; nil stands for NULL.
type Cell struct {
	Column string  `json:"column"`
	Type   string  `json:"type"`
	Value  *string `json:"value"`
}

// Preview says what rows would hold, by the code that writes them and without a server.
type Preview struct {
	encoder *encoder
	types   []string
}

// PreviewField describes the columns of a preview: those of the output, each with its Postgres type.
func PreviewField() *service.ConfigField {
	return columnsField(service.NewStringField(fieldColumnType).Description("The column's type."))
}

// NewPreview makes a preview from a configuration with a PreviewField; nil if it names no columns.
func NewPreview(conf *service.ParsedConfig) (*Preview, error) {
	c := &config{}
	if err := c.parseColumns(conf); err != nil || len(c.columns) == 0 {
		return nil, err
	}
	list, err := conf.FieldObjectList(fieldColumns)
	if err != nil {
		return nil, err
	}
	p := &Preview{encoder: newEncoder(c)}
	shapes := make([]shape, len(list))
	for i, entry := range list {
		name, err := entry.FieldString(fieldColumnType)
		if err != nil {
			return nil, fmt.Errorf("columns[%d]: %w", i, err)
		}
		p.types = append(p.types, name)
		shapes[i] = shapeOf(name)
	}
	p.encoder.shapes.Store(&shapes)
	return p, nil
}

// Row returns what the columns would hold, and the reason why the sink would refuse it, as far as
// that is certain without a server.
func (p *Preview) Row(msg *service.Message) ([]Cell, *reason.Reason) {
	s := p.encoder.scratch.Get().(*scratch)
	defer p.encoder.scratch.Put(s)
	o, ok := origin.From(msg)
	if !ok {
		o = &origin.Origin{}
	}
	doc, failure := p.encoder.read(s, sink.RowsOf(service.MessageBatch{msg}), 0, o)
	if failure != nil {
		return nil, failure
	}
	text, failure := p.encoder.appendColumns(nil, s, *p.encoder.shapes.Load(), doc, o)
	if failure != nil {
		return nil, failure
	}
	values := strings.Split(string(text), "\t")[1:]
	cells := make([]Cell, len(values))
	for i, text := range values {
		cells[i] = Cell{Column: p.encoder.columns[i].name, Type: p.types[i]}
		if text == `\N` {
			continue
		}
		value := unescaped.Replace(text)
		cells[i].Value = &value
		if refused := pgtext.Refuses(p.types[i], value); refused != nil && failure == nil {
			failure = refusal(refused.SQLState, refused.Message)
			failure.SQLState, failure.Column = refused.SQLState, cells[i].Column
		}
	}
	return cells, failure
}

// unescaped undoes what appendEscaped does.
var unescaped = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\r`, "\r")
