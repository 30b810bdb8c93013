// Package avro turns Avro's binary encoding into JSON documents by walking a compiled schema; it must not
// know where schemas or bytes come from. The format: https://avro.apache.org/docs/1.12.0/specification/
package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/jsontext"
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

// attributes are a JSON object's, by their exact names: other tools put their own beside the specification's, in any form
// and also under names that differ in case alone.
type attributes map[string]json.RawMessage

// read decodes one attribute into a place, which it leaves as it is where there is none.
func (a attributes) read(name string, into any) error {
	text, given := a[name]
	if !given {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("schema: %.100s is no %s: %w", text, name, err)
	}
	return nil
}

func (c *compiler) text(text []byte) (*node, error) {
	if text = jsontext.WithoutMark(text); !json.Valid(text) {
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
		var given attributes
		if err := json.Unmarshal(text, &given); err != nil {
			return nil, fmt.Errorf("schema: %w", err)
		}
		return c.define(given, namespace)
	}
	return nil, fmt.Errorf("%.40s is not a type", text)
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

func (c *compiler) define(given attributes, namespace string) (*node, error) {
	var kind string
	if json.Unmarshal(given["type"], &kind) != nil {
		return c.compile(given["type"], namespace)
	}
	switch kind {
	case "record", "error", "enum", "fixed":
		return c.defineNamed(kind, given, namespace)
	case "array":
		return c.container(kindArray, given["items"], namespace)
	case "map":
		return c.container(kindMap, given["values"], namespace)
	}
	known, err := c.reference(kind, namespace)
	if err != nil || len(given["logicalType"]) == 0 {
		return known, err
	}
	annotated := *known
	return &annotated, annotated.setLogical(given)
}

func (c *compiler) container(kind kind, item json.RawMessage, namespace string) (*node, error) {
	child, err := c.compile(item, namespace)
	return &node{kind: kind, item: child}, err
}

// defineNamed compiles the types that have a name, which others may refer to.
func (c *compiler) defineNamed(kind string, given attributes, namespace string) (*node, error) {
	var name string
	own := &namespace
	if err := errors.Join(given.read("name", &name), given.read("namespace", &own)); err != nil {
		return nil, err
	}
	if own != nil {
		namespace = *own
	}
	full := qualified(name, namespace)
	if dot := strings.LastIndexByte(full, '.'); dot >= 0 {
		namespace = full[:dot]
	}
	switch kind {
	case "enum":
		var symbols []string
		if err := given.read("symbols", &symbols); err != nil {
			return nil, err
		}
		n := &node{kind: kindEnum}
		for _, symbol := range symbols {
			n.symbols = append(n.symbols, jsonwrite.String(nil, []byte(symbol)))
		}
		c.named[full] = n
		return n, nil
	case "fixed":
		n := &node{kind: kindFixed}
		if err := given.read("size", &n.size); err != nil {
			return nil, err
		}
		if n.size < 0 || n.size > maxFixed {
			return nil, fmt.Errorf("fixed %s has size %d", full, n.size)
		}
		c.named[full] = n
		return n, n.setLogical(given)
	}
	return c.record(given, full, namespace)
}

func (c *compiler) record(given attributes, full, namespace string) (*node, error) {
	n := &node{kind: kindRecord}
	c.named[full] = n
	var fields []attributes
	if err := given.read("fields", &fields); err != nil {
		return nil, err
	}
	for _, f := range fields {
		var name string
		if err := f.read("name", &name); err != nil {
			return nil, err
		}
		child, err := c.compile(f["type"], namespace)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", name, full, err)
		}
		n.fields = append(n.fields, field{key: append(jsonwrite.String(nil, []byte(name)), ':'), node: child})
	}
	return n, nil
}

// setLogical keeps the logical types that change what is written; the specification wants others ignored.
func (n *node) setLogical(given attributes) error {
	var logical string
	if json.Unmarshal(given["logicalType"], &logical) != nil {
		return nil
	}
	switch {
	case logical == "decimal" && (n.kind == kindBytes || n.kind == kindFixed):
		if err := given.read("scale", &n.scale); err != nil {
			return err
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
