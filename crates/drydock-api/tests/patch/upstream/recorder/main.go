// Answers what Kubernetes' own libraries make of a patch: one question per line in, one answer per line out. With the
// argument "record" the answer is added to the question. The questions are described in ../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

type step struct {
	Verb    string                 `json:"verb"`
	Manager string                 `json:"manager"`
	Force   bool                   `json:"force"`
	Sub     string                 `json:"sub"`
	Object  map[string]interface{} `json:"object"`
	// paths such as ["status"], excluded
	Excluded [][]string `json:"excluded"`
}
type request struct {
	Op         string                 `json:"op"`
	Live       map[string]interface{} `json:"live"`
	Patch      map[string]interface{} `json:"patch"`
	Steps      []step                 `json:"steps"`
	ApiVersion string                 `json:"apiVersion"`
	Kind       string                 `json:"kind"`
}
type outcome struct {
	Object interface{} `json:"object,omitempty"`
	Error  string      `json:"error,omitempty"`
	Causes interface{} `json:"causes,omitempty"`
}

type conv struct{ gvk schema.GroupVersionKind }

func (conv) Convert(in, out, context interface{}) error { return fmt.Errorf("no") }
func (c conv) ConvertToVersion(in runtime.Object, gv runtime.GroupVersioner) (runtime.Object, error) {
	in.GetObjectKind().SetGroupVersionKind(c.gvk)
	return in, nil
}
func (conv) ConvertFieldLabel(_ schema.GroupVersionKind, _, _ string) (string, string, error) {
	return "", "", nil
}

type def struct{}

func (def) Default(runtime.Object) {}

func typed(m map[string]interface{}, gvk schema.GroupVersionKind) (runtime.Object, error) {
	o, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil, err
	}
	b, _ := json.Marshal(m)
	err = json.Unmarshal(b, o)
	if err != nil {
		return nil, err
	}
	o.GetObjectKind().SetGroupVersionKind(gvk)
	return o, nil
}

var tc = applyconfigurations.NewTypeConverter(scheme.Scheme)

func smp(r request) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{Error: fmt.Sprint("panic: ", p)}
		}
	}()
	gvk := schema.FromAPIVersionAndKind(r.ApiVersion, r.Kind)
	live, err := typed(r.Live, gvk)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	ref, _ := scheme.Scheme.New(gvk)
	res, err := strategicpatch.StrategicMergeMapPatch(m, r.Patch, ref)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	out, _ := scheme.Scheme.New(gvk)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(res, out, false); err != nil {
		return outcome{Error: "decode: " + err.Error(), Object: res}
	}
	return outcome{Object: out}
}

func filter(s step, gv schema.GroupVersion) map[fieldpath.APIVersion]fieldpath.Filter {
	if len(s.Excluded) == 0 {
		return nil
	}
	set := fieldpath.NewSet()
	for _, p := range s.Excluded {
		parts := make([]interface{}, len(p))
		for i := range p {
			parts[i] = p[i]
		}
		set.Insert(fieldpath.MakePathOrDie(parts...))
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(gv.String()): fieldpath.NewExcludeSetFilter(set)}
}

func ssa(r request) (outs []outcome) {
	gvk := schema.FromAPIVersionAndKind(r.ApiVersion, r.Kind)
	empty := func() runtime.Object {
		o, err := scheme.Scheme.New(gvk)
		if err != nil {
			panic(err)
		}
		o.GetObjectKind().SetGroupVersionKind(gvk)
		return o
	}
	live := empty()
	for _, s := range r.Steps {
		func() {
			defer func() {
				if p := recover(); p != nil {
					outs = append(outs, outcome{Error: fmt.Sprint("panic: ", p)})
				}
			}()
			fm, err := managedfields.NewDefaultFieldManager(tc, conv{gvk}, def{}, scheme.Scheme, gvk, gvk.GroupVersion(), s.Sub, filter(s, gvk.GroupVersion()))
			if err != nil {
				panic(err)
			}
			var got runtime.Object
			switch s.Verb {
			case "apply":
				u := &unstructured.Unstructured{Object: s.Object}
				got, err = fm.Apply(live.DeepCopyObject(), u, s.Manager, s.Force)
			case "update", "create":
				o, e := typed(s.Object, gvk)
				if e != nil {
					outs = append(outs, outcome{Error: "decode: " + e.Error()})
					return
				}
				base := live
				if s.Verb == "create" {
					base = empty()
				}
				got, err = fm.Update(base.DeepCopyObject(), o, s.Manager)
			}
			if err != nil {
				o := outcome{Error: err.Error()}
				if se, ok := err.(apierrors.APIStatus); ok && se.Status().Details != nil {
					o.Causes = se.Status().Details.Causes
				}
				outs = append(outs, o)
				return
			}
			if got == nil {
				got = live
			} // unchanged
			b, _ := json.Marshal(got)
			var v interface{}
			json.Unmarshal(b, &v)
			o, err := typed(v.(map[string]interface{}), gvk)
			if err != nil {
				outs = append(outs, outcome{Error: "decode: " + err.Error(), Object: v})
				return
			}
			a, _ := meta.Accessor(o)
			a.SetUID("u")
			live = o
			c := o.DeepCopyObject()
			ca, _ := meta.Accessor(c)
			ca.SetUID("")
			outs = append(outs, outcome{Object: c})
		}()
	}
	return
}

// record adds the answer to the question, without times, so that recording again changes nothing.
func record(line string, answer interface{}) interface{} {
	var c map[string]interface{}
	json.Unmarshal([]byte(line), &c)
	b, _ := json.Marshal(answer)
	var a interface{}
	json.Unmarshal(b, &a)
	c["answer"] = withoutTimes(a)
	return c
}

func withoutTimes(v interface{}) interface{} {
	switch v := v.(type) {
	case []interface{}:
		for i := range v {
			v[i] = withoutTimes(v[i])
		}
	case map[string]interface{}:
		if _, ok := v["fieldsV1"]; ok {
			if _, timed := v["time"]; timed {
				v["time"] = "now"
			}
		}
		for k := range v {
			v[k] = withoutTimes(v[k])
		}
	}
	return v
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		line, err := in.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			var r request
			d := json.NewDecoder(strings.NewReader(line))
			if e := decode(d, &r); e != nil {
				fmt.Fprintln(os.Stderr, e)
				os.Exit(1)
			}
			var v interface{}
			if r.Op == "smp" {
				v = smp(r)
			} else {
				v = ssa(r)
			}
			if len(os.Args) > 1 && os.Args[1] == "record" {
				v = record(line, v)
			}
			b, e := json.Marshal(v)
			if e != nil {
				b = []byte(fmt.Sprintf("%q", e.Error()))
			}
			out.Write(b)
			out.WriteByte('\n')
			out.Flush()
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(err)
		}
	}
}
