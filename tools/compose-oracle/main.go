// Prints what Docker's own parser makes of Compose files: `docker compose config --format json`, without Docker.
//
//	compose-oracle CASES.json > recorded.json
//
// CASES.json is a list of {name, folder, files, env_file, profiles, environment}; paths are relative to its folder.
// Prints an object: each case's name to its project, or to {"error": ...}. The case's folder is written as `.`, so
// that the answer is the same on every machine. The environment of this process is not read.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

type request struct {
	Name        string            `json:"name"`
	Folder      string            `json:"folder"`
	Files       []string          `json:"files"`
	EnvFile     string            `json:"env_file"`
	Profiles    []string          `json:"profiles"`
	Environment map[string]string `json:"environment"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: compose-oracle CASES.json")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var requests []request
	if err := json.Unmarshal(text, &requests); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	answers := map[string]any{}
	for _, request := range requests {
		folder, err := filepath.Abs(filepath.Join(filepath.Dir(path), request.Folder))
		if err != nil {
			return err
		}
		answer, err := request.load(folder)
		if err != nil {
			said := strings.ReplaceAll(err.Error(), folder, ".")
			answers[request.Name] = map[string]string{"error": said}
			continue
		}
		answers[request.Name] = json.RawMessage(bytes.ReplaceAll(answer, []byte(folder), []byte(".")))
	}
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	return out.Encode(answers)
}

// Loads as the command line of `docker compose` does: variables win over the file of variables.
func (r request) load(folder string) ([]byte, error) {
	var files, environment []string
	for _, file := range r.Files {
		files = append(files, filepath.Join(folder, file))
	}
	for name, value := range r.Environment {
		environment = append(environment, name+"="+value)
	}
	with := []cli.ProjectOptionsFn{cli.WithWorkingDirectory(folder), cli.WithEnv(environment)}
	if r.EnvFile != "" {
		with = append(with, cli.WithEnvFiles(filepath.Join(folder, r.EnvFile)), cli.WithDotEnv)
	}
	with = append(with, cli.WithDefaultProfiles(r.Profiles...))
	options, err := cli.NewProjectOptions(files, with...)
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return project.MarshalJSON()
}
