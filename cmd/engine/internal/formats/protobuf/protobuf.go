// Package protobuf turns one Protocol Buffers message into a JSON document by the descriptors that protoc wrote. It
// must not know where the bytes come from.
package protobuf

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a record is not a message of the expected type.
const (
	codeNotProtobuf = "not_protobuf"
	codeUTF8        = "invalid_utf8"
	codeValue       = "invalid_value"
	codeLarge       = "too_large"
)

// Decoder reads messages of one type; it is never changed and serves any number of goroutines.
type Decoder struct {
	message protoreflect.MessageType
	types   *dynamicpb.Types
	options proto.UnmarshalOptions
}

// New returns a Decoder of the named message in a set that `protoc --include_imports --descriptor_set_out` wrote.
func New(descriptorSet []byte, message string) (*Decoder, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(descriptorSet, &set); err != nil || len(set.File) == 0 {
		return nil, errors.New("the file is not a descriptor set: write it with protoc --include_imports --descriptor_set_out")
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("the descriptor set cannot be used (was it written with --include_imports?): %w", err)
	}
	types := dynamicpb.NewTypes(files)
	found, err := types.FindMessageByName(protoreflect.FullName(message))
	if err != nil {
		names := make([]string, 0, len(set.File))
		for _, file := range set.File {
			for _, m := range file.MessageType {
				names = append(names, strings.TrimPrefix(file.GetPackage()+"."+m.GetName(), "."))
			}
		}
		return nil, fmt.Errorf("the descriptor set has no message %q; it has %s", message, strings.Join(names, ", "))
	}
	return &Decoder{
		message: found,
		types:   types,
		options: proto.UnmarshalOptions{Resolver: types, RecursionLimit: jsonwrite.MaxDepth},
	}, nil
}

// Decode returns the JSON document of one message. Fields bear the names of the .proto file; those without presence stand
// there with their defaults, absent ones do not; fields that the descriptors do not know are left out.
func (d *Decoder) Decode(payload []byte) ([]byte, *reason.Reason) {
	message := d.message.New()
	if err := d.unmarshal(payload, message); err != nil {
		// The library varies the spaces of its errors on purpose; a reason must be the same every time.
		text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
		return nil, reason.New(reason.StageParse, codeNotProtobuf,
			fmt.Sprintf("no message %s: %s", d.message.Descriptor().FullName(), text))
	}
	w := writer{Decoder: d, out: make([]byte, 0, 4*len(payload)+64)}
	w.object(message, 0)
	if w.failure != nil {
		return nil, w.failure
	}
	return w.out, nil
}

// unmarshal makes an error of a panic: the library's dynamic messages panic at some malformed map entries.
func (d *Decoder) unmarshal(payload []byte, into protoreflect.Message) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("malformed bytes: %v", cause)
		}
	}()
	return d.options.Unmarshal(payload, into.Interface())
}

type writer struct {
	*Decoder

	out     []byte
	failure *reason.Reason
}

func (w *writer) fail(code, format string, values ...any) {
	if w.failure == nil {
		w.failure = reason.New(reason.StageParse, code, fmt.Sprintf(format, values...))
	}
}

func (w *writer) object(m protoreflect.Message, depth int) {
	if depth > jsonwrite.MaxDepth {
		w.fail(codeValue, "nested deeper than %d levels", jsonwrite.MaxDepth)
	}
	if len(w.out) > jsonwrite.MaxDocument {
		w.fail(codeLarge, "a document larger than %d MiB", jsonwrite.MaxDocument>>20)
	}
	if w.failure != nil || w.wellKnown(m, depth) {
		return
	}
	w.out = append(w.out, '{')
	fields := m.Descriptor().Fields()
	first := true
	for i := range fields.Len() {
		field := fields.Get(i)
		if field.HasPresence() && !m.Has(field) {
			continue
		}
		w.key(string(field.Name()), &first)
		w.field(field, m.Get(field), depth)
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsExtension() {
			w.key("["+string(field.FullName())+"]", &first)
			w.field(field, value, depth)
		}
		return true
	})
	w.out = append(w.out, '}')
}

func (w *writer) key(name string, first *bool) {
	if !*first {
		w.out = append(w.out, ',')
	}
	*first = false
	w.text(name)
	w.out = append(w.out, ':')
}

func (w *writer) field(field protoreflect.FieldDescriptor, value protoreflect.Value, depth int) {
	switch {
	case field.IsMap():
		w.entries(field, value.Map(), depth)
	case field.IsList():
		list := value.List()
		w.out = append(w.out, '[')
		for i := 0; i < list.Len() && w.failure == nil; i++ {
			if i > 0 {
				w.out = append(w.out, ',')
			}
			w.single(field, list.Get(i), depth)
		}
		w.out = append(w.out, ']')
	default:
		w.single(field, value, depth)
	}
}

// entries writes a map in the order of its keys: the same message must always give the same document.
func (w *writer) entries(field protoreflect.FieldDescriptor, entries protoreflect.Map, depth int) {
	keys := make([]protoreflect.MapKey, 0, entries.Len())
	entries.Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, key)
		return true
	})
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	w.out = append(w.out, '{')
	first := true
	for _, key := range keys {
		w.key(key.String(), &first)
		w.single(field.MapValue(), entries.Get(key), depth)
	}
	w.out = append(w.out, '}')
}

func (w *writer) single(field protoreflect.FieldDescriptor, value protoreflect.Value, depth int) {
	switch field.Kind() {
	case protoreflect.BoolKind:
		w.out = strconv.AppendBool(w.out, value.Bool())
	case protoreflect.EnumKind:
		if named := field.Enum().Values().ByNumber(value.Enum()); named != nil {
			w.text(string(named.Name()))
			return
		}
		w.out = strconv.AppendInt(w.out, int64(value.Enum()), 10)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		w.out = strconv.AppendUint(w.out, value.Uint(), 10)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		w.out = jsonwrite.Float(w.out, value.Float())
	case protoreflect.StringKind:
		w.text(value.String())
	case protoreflect.BytesKind:
		w.out = jsonwrite.Bytes(w.out, value.Bytes())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		w.object(value.Message(), depth+1)
	default:
		w.out = strconv.AppendInt(w.out, value.Int(), 10)
	}
}

func (w *writer) text(text string) {
	if !utf8.ValidString(text) {
		w.fail(codeUTF8, "invalid UTF-8 in a text of %d bytes", len(text))
	}
	w.out = jsonwrite.String(w.out, []byte(text))
}

// wellKnown writes the types of google/protobuf that stand for something simpler; false for any other message.
func (w *writer) wellKnown(m protoreflect.Message, depth int) bool {
	descriptor := m.Descriptor()
	if descriptor.ParentFile().Package() != "google.protobuf" {
		return false
	}
	fields := descriptor.Fields()
	switch descriptor.Name() {
	case "Timestamp":
		w.timestamp(m.Get(fields.ByNumber(1)).Int(), m.Get(fields.ByNumber(2)).Int())
	case "Duration":
		w.duration(m.Get(fields.ByNumber(1)).Int(), m.Get(fields.ByNumber(2)).Int())
	case "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value", "UInt32Value", "BoolValue",
		"StringValue", "BytesValue", "Struct", "ListValue":
		w.field(fields.ByNumber(1), m.Get(fields.ByNumber(1)), depth)
	case "Value":
		kind := m.WhichOneof(descriptor.Oneofs().Get(0))
		if kind == nil || kind.Kind() == protoreflect.EnumKind {
			w.out = append(w.out, "null"...)
			return true
		}
		w.single(kind, m.Get(kind), depth)
	case "Any":
		w.packed(m.Get(fields.ByNumber(1)).String(), m.Get(fields.ByNumber(2)).Bytes(), depth)
	default:
		return false
	}
	return true
}

func (w *writer) timestamp(seconds, nanos int64) {
	if !jsonwrite.InYears(seconds) || nanos < 0 || nanos >= 1e9 {
		w.fail(codeValue, "the timestamp of %d seconds and %d nanoseconds is invalid", seconds, nanos)
		return
	}
	w.out = jsonwrite.Instant(w.out, time.Unix(seconds, nanos))
}

func (w *writer) duration(seconds, nanos int64) {
	const longest = 315_576_000_000
	if seconds < -longest || seconds > longest || nanos <= -1e9 || nanos >= 1e9 || seconds < 0 && nanos > 0 || seconds > 0 && nanos < 0 {
		w.fail(codeValue, "the duration of %d seconds and %d nanoseconds is invalid", seconds, nanos)
		return
	}
	w.out = append(w.out, `"PT`...)
	w.out = jsonwrite.Decimal(w.out, seconds*1_000_000+nanos/1000, 6)
	w.out = append(w.out, `S"`...)
}

// packed writes an Any as {"@type": …, "value": …}, with its bytes where the descriptors do not know the type.
func (w *writer) packed(address string, data []byte, depth int) {
	first := true
	w.out = append(w.out, '{')
	w.key("@type", &first)
	w.text(address)
	w.key("value", &first)
	w.content(address, data, depth)
	w.out = append(w.out, '}')
}

func (w *writer) content(address string, data []byte, depth int) {
	known, err := w.types.FindMessageByURL(address)
	if err != nil {
		w.out = jsonwrite.Bytes(w.out, data)
		return
	}
	inner := known.New()
	if err := w.unmarshal(data, inner); err != nil {
		w.fail(codeNotProtobuf, "the Any of %.200q holds no such message", address)
		return
	}
	w.object(inner, depth+1)
}
