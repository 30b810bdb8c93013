// Checks manifests against Kubernetes' pod security standards, with Kubernetes' own code.
//
// It reads a stream of YAML documents from standard input and the name of a level (restricted, baseline) as its only
// argument, prints a line for each thing that the level forbids, and ends with 1 if there was one. Documents that make
// no pods are left aside; `checked N` on the last line says how many were looked at.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// The kinds that make pods, as far as their pods are concerned.
type workload struct {
	Kind     string            `json:"kind"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Template *corev1.PodTemplateSpec `json:"template"`
	} `json:"spec"`
}

func main() {
	forbidden, err := check(os.Stdin, os.Stdout, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if forbidden {
		os.Exit(1)
	}
}

func check(in io.Reader, out io.Writer, args []string) (bool, error) {
	if len(args) != 1 {
		return false, errors.New("name one level: restricted, baseline or privileged")
	}
	level, err := api.ParseLevel(args[0])
	if err != nil {
		return false, err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		return false, err
	}
	wanted := api.LevelVersion{Level: level, Version: api.LatestVersion()}
	manifests, err := io.ReadAll(in)
	if err != nil {
		return false, err
	}
	checked, forbidden := 0, false
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(manifests), 4096)
	for {
		var found workload
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return false, err
		}
		if found.Spec.Template == nil {
			continue
		}
		checked++
		pod := found.Spec.Template
		for _, result := range evaluator.EvaluatePod(wanted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				forbidden = true
				fmt.Fprintf(out, "%s/%s: %s: %s\n", found.Kind, found.Metadata.Name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
	fmt.Fprintf(out, "checked %d\n", checked)
	return forbidden, nil
}
