package jsontext

import (
	"strconv"
)

// Kind is the type of a value that was found.
type Kind uint8

// The kinds of values; Missing where the document has no value at a path.
const (
	Missing Kind = iota
	Null
	False
	True
	Number
	String
	Object
	Array
)

// Value is where a value stands in its document. For a string the quotes are part of it, and
// Escaped reports whether it has to be unescaped.
type Value struct {
	Kind       Kind
	Escaped    bool
	Start, End int
}

// Finder looks up the same paths in many documents. It is immutable and safe to share.
type Finder struct {
	root  *node
	paths int
}

// node is one step of the paths; targets are the paths that end here.
type node struct {
	index    map[string]int
	children []child
	targets  []int
	// last is the highest position in an array that a path asks for.
	last int
}

type child struct {
	name string
	node *node
}

// NewFinder prepares the lookup of paths. A step names a key of an object or, in digits, a position
// in an array.
func NewFinder(paths [][]string) *Finder {
	f := &Finder{root: &node{}, paths: len(paths)}
	for target, path := range paths {
		at := f.root
		for _, step := range path {
			at = at.child(step)
		}
		at.targets = append(at.targets, target)
	}
	return f
}

func (n *node) child(name string) *node {
	if i, ok := n.index[name]; ok {
		return n.children[i].node
	}
	if n.index == nil {
		n.index = map[string]int{}
	}
	n.index[name] = len(n.children)
	if position, err := strconv.Atoi(name); err == nil {
		n.last = max(n.last, position)
	}
	n.children = append(n.children, child{name, &node{}})
	return n.children[len(n.children)-1].node
}

// match returns the position of the child with a name, or -1. Keys tend to come in the order of
// the paths, so that the guess is mostly right and the map is not asked.
func (n *node) match(name []byte, guess int) int {
	if guess < len(n.children) && n.children[guess].name == string(name) {
		return guess
	}
	if i, ok := n.index[string(name)]; ok {
		return i
	}
	return -1
}

// Paths returns how many values Find fills in.
func (f *Finder) Paths() int { return f.paths }

// Find checks a document and stores where the value of each path stands. Where a key occurs more
// than once the last one counts, as in Postgres' jsonb. It returns the kind of the document itself;
// values is valid only without an error.
func (f *Finder) Find(s *Scanner, doc []byte, values []Value) (Kind, error) {
	for i := range values {
		values[i] = Value{}
	}
	start := skipSpace(doc, 0)
	root, err := s.visit(doc, start, f.root, values)
	if err != nil {
		return Missing, err
	}
	return root.Kind, checkEnd(doc, root.End)
}

// visit walks one value and everything that the paths below n ask for.
func (s *Scanner) visit(doc []byte, i int, n *node, values []Value) (Value, error) {
	if i >= len(doc) {
		return Value{}, unexpectedEnd(doc)
	}
	found := Value{Kind: kindOf(doc[i]), Start: i}
	var err error
	switch {
	case found.Kind == String:
		found.End, found.Escaped, err = skipString(doc, i)
	case found.Kind == Object && len(n.children) > 0:
		found.End, err = s.visitObject(doc, i, n, values)
	case found.Kind == Array && len(n.children) > 0:
		found.End, err = s.visitArray(doc, i, n, values)
	default:
		found.End, err = s.skipValue(doc, i)
	}
	for _, target := range n.targets {
		values[target] = found
	}
	return found, err
}

func (s *Scanner) visitObject(doc []byte, i int, n *node, values []Value) (int, error) {
	if i = skipSpace(doc, i+1); i < len(doc) && doc[i] == '}' {
		return i + 1, nil
	}
	for guess := 0; ; {
		if err := expect(doc, i, '"', "a key in double quotes"); err != nil {
			return 0, err
		}
		end, escaped, err := skipString(doc, i)
		if err != nil {
			return 0, err
		}
		key := doc[i+1 : end-1]
		if escaped {
			s.scratch = AppendUnescaped(s.scratch[:0], key)
			key = s.scratch
		}
		found := n.match(key, guess)
		if i, err = skipColon(doc, end); err != nil {
			return 0, err
		}
		if found < 0 {
			i, err = s.skipValue(doc, i)
		} else {
			guess = found + 1
			i, err = s.revisit(doc, i, n.children[found].node, values)
		}
		if err != nil {
			return 0, err
		}
		next, closed, err := step(doc, i, '}')
		if err != nil || closed {
			return next, err
		}
		i = next
	}
}

func (s *Scanner) visitArray(doc []byte, i int, n *node, values []Value) (int, error) {
	if i = skipSpace(doc, i+1); i < len(doc) && doc[i] == ']' {
		return i + 1, nil
	}
	for position := 0; ; position++ {
		var err error
		found := -1
		if position <= n.last {
			found = n.match(strconv.AppendInt(s.scratch[:0], int64(position), 10), 0)
		}
		if found >= 0 {
			i, err = s.revisit(doc, i, n.children[found].node, values)
		} else {
			i, err = s.skipValue(doc, i)
		}
		if err != nil {
			return 0, err
		}
		next, closed, err := step(doc, i, ']')
		if err != nil || closed {
			return next, err
		}
		i = next
	}
}

// Next returns the element of a checked array that stands at or behind a place: the one behind its
// bracket, or behind the end of the element before. next is where the element ends; without one, ok is false.
func (s *Scanner) Next(doc []byte, place int) (element Value, next int, ok bool) {
	i := skipSpace(doc, place)
	if i < len(doc) && doc[i] == ',' {
		i = skipSpace(doc, i+1)
	}
	if i >= len(doc) || doc[i] == ']' {
		return Value{}, i, false
	}
	element = Value{Kind: kindOf(doc[i]), Start: i}
	var err error
	if element.Kind == String {
		element.End, element.Escaped, err = skipString(doc, i)
	} else {
		element.End, err = s.skipValue(doc, i)
	}
	return element, element.End, err == nil
}

// revisit forgets what an earlier value of the same key had below it.
func (s *Scanner) revisit(doc []byte, i int, n *node, values []Value) (int, error) {
	if len(n.children) > 0 {
		n.forget(values)
	}
	found, err := s.visit(doc, i, n, values)
	return found.End, err
}

func (n *node) forget(values []Value) {
	for _, c := range n.children {
		for _, target := range c.node.targets {
			values[target] = Value{}
		}
		c.node.forget(values)
	}
}

// step moves from the end of a member to the next one, or past the end of its container.
func step(doc []byte, i int, closing byte) (next int, closed bool, err error) {
	i = skipSpace(doc, i)
	if i < len(doc) && doc[i] == ',' {
		return skipSpace(doc, i+1), false, nil
	}
	if i < len(doc) && doc[i] == closing {
		return i + 1, true, nil
	}
	return 0, false, expectedStep(doc, i, closing)
}

func kindOf(c byte) Kind {
	switch c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	}
	return Number
}
