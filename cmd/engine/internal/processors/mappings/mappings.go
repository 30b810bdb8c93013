// Package mappings says what is wrong with Bloblang, many mappings at a time: as the stream would read
// them, files and imports included, which the engine's own lint leaves alone.
package mappings

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/warpstreamlabs/bento/public/bloblang"

	"ddpm/engine/internal/contract"
)

// variable asks for a check in place of whatever else the command line says. It is not an argument, so that
// an engine that does not know it does what it was asked, prints its version, and ends.
const variable = contract.EnvCheckMappings

// imported finds the mistakes in imported files in what the library says at length; the last is the
// innermost.
var imported = regexp.MustCompile(`(?m)^(.+): line (\d+) char (\d+): (.*)$`)

// problem is what is wrong with a mapping; Index counts characters from 0. A mistake in a file that it
// imports has that file, with line and column as the library counts them.
type problem struct {
	Index   int    `json:"index"`
	Message string `json:"message"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	// Functions and Methods are the names that there are, when one is not.
	Functions []string `json:"functions,omitempty"`
	Methods   []string `json:"methods,omitempty"`
}

// Asked reports whether the process was started to check mappings.
func Asked() bool {
	return os.Getenv(variable) != ""
}

// Check reads mappings, a list of texts in JSON, and writes for each its problem, or null.
func Check(in io.Reader, out io.Writer) error {
	var texts []string
	if err := json.NewDecoder(in).Decode(&texts); err != nil {
		return err
	}
	problems := make([]*problem, len(texts))
	for i, text := range texts {
		problems[i] = look(text)
	}
	return json.NewEncoder(out).Encode(problems)
}

func look(text string) *problem {
	_, err := bloblang.GlobalEnvironment().Parse(text)
	if err == nil {
		return nil
	}
	found := &problem{Message: err.Error()}
	var parse *bloblang.ParseError
	if errors.As(err, &parse) {
		found.Index = index(text, parse.Line, parse.Column)
		found.inImport(parse.ErrorMultiline())
	}
	if strings.Contains(found.Message, "unrecognised ") {
		found.Functions, found.Methods = names()
	}
	return found
}

func (p *problem) inImport(said string) {
	own, rest, _ := strings.Cut(said, "\n")
	if !strings.Contains(own, "failed to parse import '") {
		return
	}
	if all := imported.FindAllStringSubmatch(rest, -1); len(all) > 0 {
		innermost := all[len(all)-1]
		p.File, p.Message = innermost[1], innermost[4]
		p.Line, _ = strconv.Atoi(innermost[2])
		p.Column, _ = strconv.Atoi(innermost[3])
	}
}

// index undoes the library's arithmetic, which takes the length of lines in bytes from a place in runes.
func index(text string, line, column int) int {
	at := column - 1
	for i, each := range strings.Split(text, "\n") {
		if i >= line-1 {
			break
		}
		at += len(each) + 1
	}
	return at
}

func names() (functions, methods []string) {
	env := bloblang.GlobalEnvironment()
	env.WalkFunctions(func(name string, _ *bloblang.FunctionView) { functions = append(functions, name) })
	env.WalkMethods(func(name string, _ *bloblang.MethodView) { methods = append(methods, name) })
	sort.Strings(functions)
	sort.Strings(methods)
	return functions, methods
}
