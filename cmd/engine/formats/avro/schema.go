// Package avro turns Avro's binary encoding into JSON documents by walking a compiled schema; it must not
// know where schemas or bytes come from. The format: https://avro.apache.org/docs/1.12.0/specification/
package avro

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"ddpm/engine/formats/jsonwrite"
)

type kind int

const (
	kindNull kind = iota
	kindBoolean
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindFixed
	kindEnum
	kindArray
	kindMap
	kindUnion
	kindRecord
)

var primitives = map[string]kind{
	"null": kindNull, "boolean": kindBoolean, "int": kindInt, "long": kindLong, "float": kindFloat,
	"double": kindDouble, "bytes": kindBytes, "string": kindString,
}

// maxFixed bounds the size of a fixed type: its bytes must be in the message anyway.
const maxFixed = 1 << 30

// Schema is a compiled schema; it is never changed and serves any number of goroutines.
type Schema struct {
	root *node
}

type node struct {
	kind     kind
	logical  string
	scale    int
	size     int
	symbols  [][]byte
	fields   []field
	item     *node
	branches []*node
}

// field holds a record's field with its key as it stands in the document: "name":
type field struct {
	key  []byte
	node *node
}

// Compile reads a schema's JSON text. Types of the references, which a schema registry keeps apart, are known to it.
func Compile(text []byte, references ...[]byte) (*Schema, error) {
	c := compiler{named: map[string]*node{}}
	for _, reference := range references {
		if _, err := c.text(reference); err != nil {
			return nil, fmt.Errorf("referenced schema: %w", err)
		}
	}
	root, err := c.text(text)
	if err != nil {
		return nil, err
	}
	return &Schema{root: root}, nil
}

type compiler struct {
	named map[string]*node
	depth int
}

// definition is the union of what the JSON objects of all types may hold.
type definition struct {
	Type        json.RawMessage   `json:"type"`
	Name        string            `json:"name"`
	Namespace   *string           `json:"namespace"`
	LogicalType json.RawMessage   `json:"logicalType"`
	Scale       json.RawMessage   `json:"scale"`
	Size        int               `json:"size"`
	Symbols     []string          `json:"symbols"`
	Items       json.RawMessage   `json:"items"`
	Values      json.RawMessage   `json:"values"`
	Fields      []fieldDefinition `json:"fields"`
}

type fieldDefinition struct {
	Name string          `json:"name"`
	Type json.RawMessage `json:"type"`
}

func (c *compiler) text(text []byte) (*node, error) {
	if !json.Valid(text) {
		return c.reference(string(bytes.TrimSpace(text)), "")
	}
	return c.compile(text, "")
}

func (c *compiler) compile(text json.RawMessage, namespace string) (*node, error) {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > jsonwrite.MaxDepth {
		return nil, fmt.Errorf("the schema is nested deeper than %d levels", jsonwrite.MaxDepth)
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return nil, fmt.Errorf("a type is missing in the schema")
	}
	switch text[0] {
	case '"':
		var name string
		if err := json.Unmarshal(text, &name); err != nil {
			return nil, err
		}
		return c.reference(name, namespace)
	case '[':
		return c.union(text, namespace)
	case '{':
		var d definition
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		return c.define(&d, namespace)
	}
	return nil, fmt.Errorf("%.40s is no type", text)
}

func (c *compiler) reference(name, namespace string) (*node, error) {
	if known, ok := primitives[name]; ok {
		return &node{kind: known}, nil
	}
	if known, ok := c.named[qualified(name, namespace)]; ok {
		return known, nil
	}
	if known, ok := c.named[name]; ok {
		return known, nil
	}
	return nil, fmt.Errorf("the schema has no type %.100q", name)
}

func (c *compiler) union(text json.RawMessage, namespace string) (*node, error) {
	var texts []json.RawMessage
	if err := json.Unmarshal(text, &texts); err != nil {
		return nil, err
	}
	union := &node{kind: kindUnion}
	for _, text := range texts {
		branch, err := c.compile(text, namespace)
		if err != nil {
			return nil, err
		}
		union.branches = append(union.branches, branch)
	}
	return union, nil
}

func (c *compiler) define(d *definition, namespace string) (*node, error) {
	var name string
	if json.Unmarshal(d.Type, &name) != nil {
		return c.compile(d.Type, namespace)
	}
	if d.Namespace != nil {
		namespace = *d.Namespace
	}
	full := qualified(d.Name, namespace)
	if dot := strings.LastIndexByte(full, '.'); dot >= 0 {
		namespace = full[:dot]
	}
	var err error
	switch name {
	case "record", "error":
		return c.record(d, full, namespace)
	case "enum":
		n := &node{kind: kindEnum}
		for _, symbol := range d.Symbols {
			n.symbols = append(n.symbols, jsonwrite.String(nil, []byte(symbol)))
		}
		c.named[full] = n
		return n, nil
	case "fixed":
		if d.Size < 0 || d.Size > maxFixed {
			return nil, fmt.Errorf("fixed %s has size %d", full, d.Size)
		}
		n := &node{kind: kindFixed, size: d.Size}
		c.named[full] = n
		return n, n.setLogical(d)
	case "array":
		n := &node{kind: kindArray}
		n.item, err = c.compile(d.Items, namespace)
		return n, err
	case "map":
		n := &node{kind: kindMap}
		n.item, err = c.compile(d.Values, namespace)
		return n, err
	}
	known, err := c.reference(name, namespace)
	if err != nil || len(d.LogicalType) == 0 {
		return known, err
	}
	annotated := *known
	return &annotated, annotated.setLogical(d)
}

func (c *compiler) record(d *definition, full, namespace string) (*node, error) {
	n := &node{kind: kindRecord}
	c.named[full] = n
	for _, f := range d.Fields {
		child, err := c.compile(f.Type, namespace)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, full, err)
		}
		n.fields = append(n.fields, field{key: append(jsonwrite.String(nil, []byte(f.Name)), ':'), node: child})
	}
	return n, nil
}

// setLogical keeps the logical types that change what is written; the specification wants others ignored.
func (n *node) setLogical(d *definition) error {
	var logical string
	if json.Unmarshal(d.LogicalType, &logical) != nil {
		return nil
	}
	switch {
	case logical == "decimal" && (n.kind == kindBytes || n.kind == kindFixed):
		if len(d.Scale) > 0 && json.Unmarshal(d.Scale, &n.scale) != nil {
			return fmt.Errorf("%.40s is no scale of a decimal", d.Scale)
		}
		if err := jsonwrite.CheckDecimal(n.scale, n.size); err != nil {
			return err
		}
	case logical == "date" && n.kind == kindInt, logical == "time-millis" && n.kind == kindInt,
		logical == "uuid" && n.kind == kindFixed && n.size == 16, logical == "duration" && n.kind == kindFixed && n.size == 12:
	case n.kind == kindLong:
		switch logical {
		case "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos",
			"local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos":
		default:
			return nil
		}
	default:
		return nil
	}
	n.logical = logical
	return nil
}

func qualified(name, namespace string) string {
	if namespace == "" || strings.ContainsRune(name, '.') {
		return name
	}
	return namespace + "." + name
}
