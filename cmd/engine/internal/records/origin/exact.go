package origin

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

// Bloblang reads and writes JSON with the standard library, which puts U+FFFD where text is not UTF-8 and says nothing.
// These two processors stand around a user's mappings, so that such a record is a dead letter instead of another text.
const codeSurrogate = "lone_surrogate"

const replacement = "\uFFFD"

// Signs of what a document held before mappings saw it.
const (
	// hadReplacement is for U+FFFD in the document itself: it is the record's own.
	hadReplacement = 1 << iota
	// isSuspect is for bytes or nested escapes that decoding would replace.
	isSuspect
)

var (
	surrogates = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
	escaped    = regexp.MustCompile(`\\u[fF][fF][fF][dD]`)
)

func init() {
	register := func(name, summary string, step func(*service.Message) *service.Message) {
		spec := service.NewConfigSpec().Categories("ddpm").Summary(summary).
			Field(service.NewObjectField("").Default(map[string]any{}))
		err := service.RegisterBatchProcessor(name, spec,
			func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) {
				return each(step), nil
			})
		if err != nil {
			panic(err)
		}
	}
	register("ddpm_before_mapping", "Fails documents with text that a mapping would replace.", beforeMapping)
	register("ddpm_after_mapping", "Fails documents in which a mapping replaced text that is not UTF-8.", afterMapping)
}

// each changes the messages of a batch.
type each func(*service.Message) *service.Message

func (step each) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	for i, msg := range batch {
		batch[i] = step(msg)
	}
	return []service.MessageBatch{batch}, nil
}

func (each) Close(context.Context) error { return nil }

func beforeMapping(msg *service.Message) *service.Message {
	doc, err := msg.AsBytes()
	if err != nil || msg.GetError() != nil {
		return msg
	}
	signs, failure := BeforeMapping(doc)
	if failure != nil {
		msg.SetError(failure)
		return msg
	}
	if o, ok := From(msg); ok && signs != 0 {
		known := *o
		known.signs = signs
		return Attach(msg, known)
	}
	return msg
}

// BeforeMapping returns what AfterMapping has to know of a document, or why no mapping may see it.
func BeforeMapping(doc []byte) (signs int, failure *reason.Reason) {
	if bytes.Contains(doc, []byte(`\u`)) {
		if at := jsontext.FindEscape(doc, utf16.IsSurrogate); at >= 0 && new(jsontext.Scanner).Validate(doc) == nil {
			return 0, reason.New(reason.StageProcess, codeSurrogate, fmt.Sprintf(
				"half of a surrogate pair at byte %d, %.6s, which no text can hold: a mapping would put U+FFFD in its place", at, doc[at:]))
		}
		if escaped.Match(doc) {
			signs |= hadReplacement
		}
		if surrogates.Match(doc) {
			signs |= isSuspect
		}
	}
	if !utf8.Valid(doc) {
		signs |= isSuspect
	}
	if bytes.Contains(doc, []byte(replacement)) {
		signs |= hadReplacement
	}
	return signs, nil
}

func afterMapping(msg *service.Message) *service.Message {
	o, ok := From(msg)
	if !ok || msg.GetError() != nil || o.signs&hadReplacement != 0 {
		return msg
	}
	doc, err := msg.AsBytes()
	if err != nil {
		return msg
	}
	if failure := AfterMapping(doc, o.signs); failure != nil {
		msg.SetError(failure)
	}
	return msg
}

// AfterMapping returns why a document that mappings made is refused: they replaced text that is not UTF-8. They know bytes that
// were not UTF-8 by the escape that the encoder writes for them: a character U+FFFD that was in a text is written as it is.
func AfterMapping(doc []byte, signs int) *reason.Reason {
	if signs&hadReplacement != 0 {
		return nil
	}
	replaced := bytes.Contains(doc, []byte(`\ufffd`)) && jsontext.FindEscape(doc, isReplacement) >= 0
	if replaced || signs&isSuspect != 0 && bytes.Contains(doc, []byte(replacement)) {
		return reason.New(reason.StageProcess, codeUTF8, "a mapping made text of what is not UTF-8, and U+FFFD would be "+
			`stored in its place; keep bytes with .encode("hex") or .encode("base64")`)
	}
	return nil
}

func isReplacement(r rune) bool { return r == utf8.RuneError }
