// Package reason says why a record was rejected, in one form for every stage of a pipeline.
package reason

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"ddpm/engine/internal/contract"
)

// Stages of a pipeline at which a record can fail.
const (
	StageParse   = "parse"
	StageProcess = "process"
	StageSink    = "sink"
)

// maxText bounds each text of a reason: reasons travel in record headers.
const maxText = 1000

// Reason is the cause of one record's failure. As an error its text is JSON, because the stock
// fallback output carries nothing but the text of an error from one output to the next.
type Reason struct {
	Stage    string `json:"stage"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Column   string `json:"column,omitempty"`
	SQLState string `json:"sqlstate,omitempty"`
}

// New returns a Reason with its texts cut to a length that fits a record header.
func New(stage, code, message string) *Reason {
	return &Reason{Stage: stage, Code: code, Message: Cut(message)}
}

// Error returns the Reason as a JSON object.
func (r *Reason) Error() string {
	text, err := json.Marshal(r)
	if err != nil {
		return r.Message
	}
	return string(text)
}

// Parse reads back what Error wrote; it reports false for any other text.
func Parse(text string) (*Reason, bool) {
	var r Reason
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil || decoder.More() || r.Stage == "" || r.Code == "" {
		return nil, false
	}
	return &r, true
}

// EnvHidden names the variable with the texts that no reason may show, a JSON array: what the user's configuration
// has from the environment or a secret file, and an error of a mapping would quote.
const EnvHidden = contract.EnvHidden

var hidden = sync.OnceValue(func() *strings.Replacer { return hiding(os.Getenv(EnvHidden)) })

func hiding(list string) *strings.Replacer {
	var texts, pairs []string
	if json.Unmarshal([]byte(list), &texts) != nil {
		return strings.NewReplacer()
	}
	for _, text := range texts {
		// As it is, and as an error quotes it.
		quoted := strconv.Quote(text)
		for _, form := range []string{text, quoted[1 : len(quoted)-1]} {
			if form != "" {
				pairs = append(pairs, form, "***")
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// Cut hides what must stay secret and shortens a text to about one kilobyte, at a boundary between characters.
func Cut(text string) string {
	text = hidden().Replace(strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
