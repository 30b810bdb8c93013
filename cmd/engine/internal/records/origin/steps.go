package origin

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/warpstreamlabs/bento/public/bloblang"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
	"ddpm/engine/internal/records/reason"
)

// codeProcessor is the code of what a user's processor says.
const codeProcessor = "processor_failed"

// stepsEnv says where the user's steps stand in the configuration that the user wrote. It is not
// part of the engine's own configuration, whose hash would change with every comment there.
const stepsEnv = contract.EnvSteps

// labelPrefix begins the label of each of the user's steps; its number follows.
const labelPrefix = "processors_"

// Only at the beginning: further behind, a record may be quoted.
var lineOf = regexp.MustCompile(`^[a-z ]+?( \(line (\d+)\))`)

// step is one of the user's own processors.
type step struct {
	// Name is the step's in the configuration, such as processors[1].mapping.
	Name string `json:"name"`
	File string `json:"file"`
	// Lines are those of the file, one for each line of the engine's mapping.
	Lines []int `json:"lines"`
}

var (
	knownSteps = sync.OnceValue(func() []step { return stepsIn(os.Getenv(stepsEnv)) })
	labelled   = sync.OnceValues(func() (*bloblang.Executor, error) {
		return bloblang.Parse("root = error_source_label()")
	})
)

// stepsIn reads what the environment says; nothing for an engine that ddpm did not start.
func stepsIn(text string) []step {
	var steps []step
	if err := json.Unmarshal([]byte(text), &steps); err != nil {
		return nil
	}
	return steps
}

// stepOf finds the user's step that failed on a message; nil when it was none of them.
func stepOf(msg *service.Message) *step {
	query, err := labelled()
	if err != nil {
		return nil
	}
	label, err := msg.BloblangQueryValue(query)
	if err != nil {
		return nil
	}
	name, _ := label.(string)
	number, err := strconv.Atoi(strings.TrimPrefix(name, labelPrefix))
	if err != nil || !strings.HasPrefix(name, labelPrefix) || number < 0 {
		return nil
	}
	return stepNumber(number)
}

// FailedStep is the reason of a record on which the user's step of that number failed.
func FailedStep(number int, err error) *reason.Reason {
	return reason.New(reason.StageProcess, codeProcessor, stepNumber(number).described(err.Error()))
}

func stepNumber(number int) *step {
	if steps := knownSteps(); number < len(steps) {
		return &steps[number]
	}
	return &step{Name: fmt.Sprintf("processors[%d]", number)}
}

// described puts the step's name and, in place of a line of the engine's mapping, that of the user's file
// before what the engine says.
func (s *step) described(what string) string {
	if s == nil {
		return what
	}
	if found := lineOf.FindStringSubmatchIndex(what); found != nil {
		if line, err := strconv.Atoi(what[found[4]:found[5]]); err == nil && line >= 1 && line <= len(s.Lines) {
			rest := what[:found[2]] + what[found[3]:]
			return fmt.Sprintf("%s:%d: %s: %s", s.File, s.Lines[line-1], s.Name, rest)
		}
	}
	if len(s.Lines) > 0 {
		return fmt.Sprintf("%s:%d: %s: %s", s.File, s.Lines[0], s.Name, what)
	}
	return fmt.Sprintf("%s: %s", s.Name, what)
}
