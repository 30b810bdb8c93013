package parquet

import (
	"errors"
	"fmt"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"ddpm/engine/internal/formats/jsonwrite"
)

type shape int

const (
	shapeLeaf shape = iota
	shapeObject
	shapeList
	shapeMap
)

// node is a column or group of the schema with its levels, as Dremel's encoding counts them.
type node struct {
	key        []byte
	shape      shape
	repeated   bool
	optional   bool
	definition int
	repetition int
	first      int
	last       int
	children   []*node
	write      write
}

// compiler walks a schema's elements in their order, depth first.
type compiler struct {
	columns  int
	elements []format.SchemaElement
}

// compile returns the tree of a file's schema and the number of its columns.
func compile(root *parquet.Column, elements []format.SchemaElement) (*node, int, error) {
	c := &compiler{elements: elements}
	n, err := c.node(root, &node{}, true)
	if err == nil && len(n.children) == 0 {
		err = errors.New("it has no columns")
	}
	return n, c.columns, err
}

func (c *compiler) node(column *parquet.Column, parent *node, root bool) (*node, error) {
	if len(c.elements) == 0 || c.elements[0].Name != column.Name() && !root {
		return nil, errors.New("its schema cannot be followed")
	}
	element := c.elements[0]
	c.elements = c.elements[1:]
	n := &node{
		key:        append(jsonwrite.String(nil, []byte(column.Name())), ':'),
		repeated:   !root && column.Repeated(),
		optional:   !root && column.Optional(),
		definition: parent.definition,
		repetition: parent.repetition,
		first:      c.columns,
	}
	if n.repeated {
		n.repetition++
	}
	if n.repeated || n.optional {
		n.definition++
	}
	if column.Leaf() {
		var err error
		n.last, c.columns = c.columns, c.columns+1
		if n.write, err = leaf(column.Type(), &element.LogicalType.V); err != nil {
			return nil, fmt.Errorf("column %s: %w", column.Name(), err)
		}
		return n, nil
	}
	for _, child := range column.Columns() {
		compiled, err := c.node(child, n, false)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, compiled)
	}
	if len(n.children) == 0 && !root {
		return nil, fmt.Errorf("the group %s has no columns", column.Name())
	}
	n.last = c.columns - 1
	n.shape = shapeOf(column, n)
	return n, nil
}

// shapeOf follows the format's rules for lists and maps, with those for old writers:
// https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#nested-types
func shapeOf(column *parquet.Column, n *node) shape {
	if len(n.children) != 1 || !n.children[0].repeated || column.Type().LogicalType() == nil {
		return shapeObject
	}
	logical, inner := column.Type().LogicalType(), n.children[0]
	switch {
	case logical.List != nil:
		name := column.Columns()[0].Name()
		if inner.shape == shapeObject && len(inner.children) == 1 && name != "array" && name != column.Name()+"_tuple" {
			inner.shape = shapeList
		}
		return shapeList
	case logical.Map != nil && len(inner.children) == 2 && !inner.children[0].repeated && inner.children[0].shape == shapeLeaf:
		return shapeMap
	}
	return shapeObject
}

func (w *writer) head(n *node) (parquet.Value, error) {
	if len(w.columns[n.first]) == 0 {
		return parquet.Value{}, errLevels
	}
	return w.columns[n.first][0], nil
}

// drop takes the value that stands for a missing node out of each of its columns.
func (w *writer) drop(n *node) error {
	for column := n.first; column <= n.last; column++ {
		if len(w.columns[column]) == 0 {
			return errLevels
		}
		w.columns[column] = w.columns[column][1:]
	}
	return nil
}

func (w *writer) node(n *node) error {
	if n.repeated {
		return w.list(n, w.content)
	}
	head, err := w.head(n)
	if err != nil {
		return err
	}
	if n.optional && head.DefinitionLevel() < n.definition {
		w.out = append(w.out, "null"...)
		return w.drop(n)
	}
	return w.content(n)
}

// content writes a node that is there.
func (w *writer) content(n *node) error {
	switch n.shape {
	case shapeObject:
		return w.object(n)
	case shapeList:
		return w.node(n.children[0])
	case shapeMap:
		return w.entries(n.children[0])
	}
	head, err := w.head(n)
	if err != nil {
		return err
	}
	if head.IsNull() {
		w.out = append(w.out, "null"...)
	} else {
		n.write(w, head)
	}
	return w.drop(n)
}

func (w *writer) object(n *node) error {
	w.out = append(w.out, '{')
	for i, child := range n.children {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, child.key...)
		if err := w.node(child); err != nil {
			return err
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *writer) list(n *node, item func(*node) error) error {
	w.out = append(w.out, '[')
	if err := w.repeat(n, item); err != nil {
		return err
	}
	w.out = append(w.out, ']')
	return nil
}

func (w *writer) entries(n *node) error {
	w.out = append(w.out, '{')
	err := w.repeat(n, func(entry *node) error {
		start := len(w.out)
		if err := w.node(entry.children[0]); err != nil {
			return err
		}
		if len(w.out) == start || w.out[start] != '"' {
			key := string(w.out[start:])
			w.out = jsonwrite.String(w.out[:start], []byte(key))
		}
		w.out = append(w.out, ':')
		return w.node(entry.children[1])
	})
	w.out = append(w.out, '}')
	return err
}

// repeat writes each item of a repeated node; a value that repeats at this node's level begins another one.
func (w *writer) repeat(n *node, item func(*node) error) error {
	head, err := w.head(n)
	if err != nil {
		return err
	}
	if head.DefinitionLevel() < n.definition {
		return w.drop(n)
	}
	for {
		if err := item(n); err != nil {
			return err
		}
		if rest := w.columns[n.first]; len(rest) == 0 || rest[0].RepetitionLevel() != n.repetition {
			return nil
		}
		w.out = append(w.out, ',')
	}
}
