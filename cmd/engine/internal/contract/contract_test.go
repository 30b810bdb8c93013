package contract

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// A constant that is not printed would have to be spelled in Python once more.
func TestEveryConstantIsPrinted(t *testing.T) {
	var printed strings.Builder
	if err := Print(&printed); err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "contract.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, is := node.(*ast.ValueSpec)
		if !is || len(spec.Values) != 1 {
			return true
		}
		if text, is := spec.Values[0].(*ast.BasicLit); is && text.Kind == token.STRING {
			value, _ := strconv.Unquote(text.Value)
			found++
			if !strings.Contains(printed.String(), value) {
				t.Errorf("%s (%s) is not printed", spec.Names[0].Name, text.Value)
			}
		}
		return true
	})
	if found == 0 {
		t.Error("there are no constants")
	}
}

func TestNamesOfAGroupDiffer(t *testing.T) {
	for _, g := range groups() {
		seen := map[string]bool{}
		for _, each := range g.All {
			if seen[each.Name] || each.Value == "" {
				t.Errorf("%s.%s is there twice, or empty", g.Name, each.Name)
			}
			seen[each.Name] = true
		}
	}
}
