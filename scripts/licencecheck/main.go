// Command licencecheck says which licences are in the files that are named on its standard input: a line of JSON each.
package main

import (
	"bufio"
	"encoding/json"
	"log"
	"os"

	"github.com/google/licensecheck"
)

type found struct {
	File     string   `json:"file"`
	Licences []string `json:"licences"`
	Percent  float64  `json:"percent"`
}

func main() {
	lines, answers := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		text, err := os.ReadFile(lines.Text())
		if err != nil {
			log.Fatal(err)
		}
		covered := licensecheck.Scan(text)
		answer := found{File: lines.Text(), Licences: []string{}, Percent: covered.Percent}
		for _, match := range covered.Match {
			answer.Licences = append(answer.Licences, match.ID)
		}
		if err := answers.Encode(answer); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
