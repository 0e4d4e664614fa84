// Template-oracle renders small cases with Helm's own engine and writes down what came out.
//
//	template-oracle CHART CASES RECORDED
//	template-oracle -measure CHART ROUNDS
//
// CHART is a chart folder. Each file CASES/NAME.txt holds cases; each case is rendered as templates/case.yaml of
// the chart, and what Helm made of it goes to RECORDED/NAME.json: the output, or the error. It is for the tests of
// seaworthy-template and seaworthy-helm only; nothing of it is part of Seaworthy.
//
// The second form loads a chart once and prints how many milliseconds each of ROUNDS renderings took, from the
// dependencies to the sorted manifests, as `helm template` does it.
//
// A case is one line. One that needs several lines stands between a line `<<<` and a line `>>>`. Blank lines and
// lines that begin with `# ` are for the reader.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

const caseFile = "templates/case.yaml"

// Recording is one case and what Helm did with it; exactly one of Output and Error is present.
type Recording struct {
	Template string  `json:"template"`
	Output   *string `json:"output,omitempty"`
	Error    string  `json:"error,omitempty"`
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "-measure" {
		measure(os.Args[2], os.Args[3])
		return
	}
	if len(os.Args) != 4 {
		fail(fmt.Errorf("usage: template-oracle CHART CASES RECORDED"))
	}
	files, err := filepath.Glob(filepath.Join(os.Args[2], "*.txt"))
	fail(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		fail(err)
		name := strings.TrimSuffix(filepath.Base(file), ".txt") + ".json"
		fail(os.WriteFile(filepath.Join(os.Args[3], name), record(os.Args[1], cases(string(text))), 0o644))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "template-oracle:", err)
		os.Exit(1)
	}
}

func cases(text string) []string {
	var found []string
	var block []string
	inBlock := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case !inBlock && line == "<<<":
			inBlock, block = true, nil
		case inBlock && line == ">>>":
			found = append(found, strings.Join(block, "\n"))
			inBlock = false
		case inBlock:
			block = append(block, line)
		case line != "" && line != "#" && !strings.HasPrefix(line, "# "):
			found = append(found, line)
		}
	}
	return found
}

func record(folder string, templates []string) []byte {
	recordings := []Recording{}
	for _, template := range templates {
		recording := Recording{Template: template}
		if output, err := render(folder, template); err != nil {
			recording.Error = err.Error()
		} else {
			recording.Output = &output
		}
		recordings = append(recordings, recording)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	fail(encoder.Encode(recordings))
	return out.Bytes()
}

func render(folder, template string) (string, error) {
	loaded, err := loader.LoadDir(folder)
	fail(err)
	loaded.Templates = append(loaded.Templates, &common.File{Name: caseFile, Data: []byte(template), ModTime: time.Time{}})
	values, err := renderValues(loaded)
	fail(err)
	rendered, err := engine.Engine{}.Render(loaded, values)
	return rendered[loaded.Name()+"/"+caseFile], err
}

// measure does what `helm template` does between loading a chart and printing it.
func measure(folder, count string) {
	rounds, err := strconv.Atoi(count)
	fail(err)
	loaded, err := loader.LoadDir(folder)
	fail(err)
	for range rounds {
		since := time.Now()
		fail(chartutil.ProcessDependencies(loaded, common.Values{}))
		values, err := renderValues(loaded)
		fail(err)
		rendered, err := engine.Engine{}.Render(loaded, values)
		fail(err)
		for name := range rendered {
			if strings.HasSuffix(name, "NOTES.txt") {
				delete(rendered, name)
			}
		}
		_, _, err = releaseutil.SortManifests(rendered, nil, releaseutil.InstallOrder)
		fail(err)
		fmt.Printf("%.3f\n", time.Since(since).Seconds()*1000)
	}
}

func renderValues(loaded *chart.Chart) (common.Values, error) {
	capabilities := common.DefaultCapabilities.Copy()
	if version, err := common.ParseKubeVersion("v1.36.0"); err == nil {
		capabilities.KubeVersion = *version
	}
	release := common.ReleaseOptions{Name: "rel", Namespace: "ns", Revision: 1, IsInstall: true}
	return util.ToRenderValuesWithSchemaValidation(loaded, map[string]any{}, release, capabilities, false)
}
