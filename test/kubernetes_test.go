package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/pfs-project/pfs/test/harness"
)

// What our manifests may use of Kubernetes' API, under its names. A key that is
// not here fails the test: look it up before you add it.
type (
	labels map[string]string

	selector struct {
		MatchLabels labels `yaml:"matchLabels"`
	}

	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct {
			Name   string
			Labels labels
		}
		Automount *bool `yaml:"automountServiceAccountToken"`
		Data      map[string]string
		Spec      spec
	}

	spec struct {
		// Service
		ClusterIP       string `yaml:"clusterIP"`
		PublishNotReady bool   `yaml:"publishNotReadyAddresses"`
		Selector        any    // of a Service labels, otherwise a selector
		Ports           []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		// PodDisruptionBudget
		MaxUnavailable int `yaml:"maxUnavailable"`
		// NetworkPolicy
		PodSelector selector `yaml:"podSelector"`
		PolicyTypes []string `yaml:"policyTypes"`
		Ingress     []struct {
			From []struct {
				PodSelector       *selector `yaml:"podSelector"`
				NamespaceSelector *selector `yaml:"namespaceSelector"`
			}
			Ports []struct{ Port string }
		}
		// StatefulSet
		ServiceName     string `yaml:"serviceName"`
		Replicas        int
		PodManagement   string            `yaml:"podManagementPolicy"`
		UpdateStrategy  map[string]string `yaml:"updateStrategy"`
		MinReadySeconds int               `yaml:"minReadySeconds"`
		Retention       map[string]string `yaml:"persistentVolumeClaimRetentionPolicy"`
		Template        struct {
			Metadata struct{ Labels labels }
			Spec     pod
		}
		Claims []struct {
			Metadata struct{ Name string }
			Spec     struct {
				AccessModes []string `yaml:"accessModes"`
				Resources   map[string]map[string]string
			}
		} `yaml:"volumeClaimTemplates"`
		// ServiceMonitor and PrometheusRule
		JobLabel  string `yaml:"jobLabel"`
		Endpoints []struct{ Port, Path, Interval string }
		Groups    any
	}

	pod struct {
		ServiceAccount  string `yaml:"serviceAccountName"`
		Automount       *bool  `yaml:"automountServiceAccountToken"`
		ServiceLinks    *bool  `yaml:"enableServiceLinks"`
		Grace           int    `yaml:"terminationGracePeriodSeconds"`
		SecurityContext struct {
			NonRoot bool              `yaml:"runAsNonRoot"`
			User    int               `yaml:"runAsUser"`
			Group   int               `yaml:"runAsGroup"`
			FSGroup int               `yaml:"fsGroup"`
			Change  string            `yaml:"fsGroupChangePolicy"`
			Seccomp map[string]string `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Affinity struct {
			Anti struct {
				Required []spread `yaml:"requiredDuringSchedulingIgnoredDuringExecution"`
			} `yaml:"podAntiAffinity"`
		}
		Spread     []spread `yaml:"topologySpreadConstraints"`
		Containers []container
		Volumes    []struct {
			Name      string
			ConfigMap struct{ Name string } `yaml:"configMap"`
			Secret    struct {
				Name string `yaml:"secretName"`
				Mode int    `yaml:"defaultMode"`
			}
		}
	}

	spread struct {
		TopologyKey   string   `yaml:"topologyKey"`
		LabelSelector selector `yaml:"labelSelector"`
		MaxSkew       int      `yaml:"maxSkew"`
		Unsatisfiable string   `yaml:"whenUnsatisfiable"`
	}

	container struct {
		Name, Image string
		PullPolicy  string `yaml:"imagePullPolicy"`
		Args        []string
		Env         []struct {
			Name, Value string
			From        struct {
				Field map[string]string `yaml:"fieldRef"`
			} `yaml:"valueFrom"`
		}
		Ports []struct {
			Name string
			Port int `yaml:"containerPort"`
		}
		Startup   httpProbe `yaml:"startupProbe"`
		Liveness  httpProbe `yaml:"livenessProbe"`
		Readiness httpProbe `yaml:"readinessProbe"`
		Lifecycle struct {
			PreStop struct {
				Exec struct{ Command []string }
			} `yaml:"preStop"`
		}
		Resources       map[string]map[string]string
		SecurityContext struct {
			Escalation   *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRoot bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities map[string][]string
		} `yaml:"securityContext"`
		Mounts []struct {
			Name     string
			Path     string `yaml:"mountPath"`
			SubPath  string `yaml:"subPath"`
			ReadOnly bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}

	httpProbe struct {
		Get     struct{ Path, Port string } `yaml:"httpGet"`
		Period  int                         `yaml:"periodSeconds"`
		Timeout int                         `yaml:"timeoutSeconds"`
		Failure int                         `yaml:"failureThreshold"`
	}
)

// manifests reads the objects of a file, by kind and name.
func manifests(t *testing.T, file string) map[string]object {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(harness.Root(t), "configs", "kubernetes", file))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]object{}
	for doc := range strings.SplitSeq(string(b), "\n---\n") {
		var o object
		if err := yaml.UnmarshalWithOptions([]byte(doc), &o, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[o.Kind+" "+o.Metadata.Name] = o
	}
	return out
}

// same compares two parts of manifests by what they hold.
func same(t *testing.T, what string, a, b any) {
	t.Helper()
	x, err := yaml.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(x) != string(y) {
		t.Errorf("%s:\n%s\nis not\n%s", what, x, y)
	}
}

// The manifests name each other, and leave nothing open that can be shut.
func TestManifests(t *testing.T) {
	all := manifests(t, "pfs.yaml")
	set, head, api := all["StatefulSet pfs"].Spec, all["Service pfs-headless"].Spec, all["Service pfs"]
	p := set.Template.Spec
	is := set.Template.Metadata.Labels
	me := selector{is}
	same(t, "selector of the set", set.Selector, me)
	same(t, "selector of the headless service", head.Selector, is)
	same(t, "selector of the service", api.Spec.Selector, is)
	same(t, "selector of the budget", all["PodDisruptionBudget pfs"].Spec.Selector, me)
	same(t, "selector of the policy", all["NetworkPolicy pfs"].Spec.PodSelector, me)
	same(t, "anti-affinity", p.Affinity.Anti.Required[0].LabelSelector, me)
	same(t, "spread", p.Spread[0].LabelSelector, me)
	c := p.Containers[0]
	for what, holds := range map[string]bool{
		"there are seven objects and one container":   len(all) == 7 && len(p.Containers) == 1,
		"nodes find each other before they are ready": head.ClusterIP == "None" && head.PublishNotReady && set.ServiceName == "pfs-headless",
		"pods start together":                         set.PodManagement == "Parallel",
		"data stays":                                  set.Retention["whenDeleted"] == "Retain" && set.Retention["whenScaled"] == "Retain",
		"a drain leaves a quorum":                     all["PodDisruptionBudget pfs"].Spec.MaxUnavailable == 1,
		"no two nodes share a machine":                p.Affinity.Anti.Required[0].TopologyKey == "kubernetes.io/hostname",
		"nodes run as nobody":                         p.SecurityContext.NonRoot && p.SecurityContext.User == 65532 && p.SecurityContext.FSGroup == 65532,
		"their system calls are filtered":             p.SecurityContext.Seccomp["type"] == "RuntimeDefault",
		"the root is read-only":                       c.SecurityContext.ReadOnlyRoot,
		"nobody gets more rights":                     c.SecurityContext.Escalation != nil && !*c.SecurityContext.Escalation && slices.Equal(c.SecurityContext.Capabilities["drop"], []string{"ALL"}),
		"pods have no token":                          p.Automount != nil && !*p.Automount,
		"not everybody reaches them":                  slices.Equal(all["NetworkPolicy pfs"].Spec.PolicyTypes, []string{"Ingress"}),
		"a cluster is formed by all replicas":         slices.Contains(c.Args, fmt.Sprintf("-bootstrap-expect=%d", set.Replicas)),
		"probes ask for what they are to ask":         c.Liveness.Get.Path == "/livez" && c.Readiness.Get.Path == "/readyz" && c.Startup.Get.Path == "/healthz",
		"there is time for preStop and for the stop":  p.Grace >= 40,
	} {
		if !holds {
			t.Errorf("it does not hold that %s", what)
		}
	}
	mounted := map[string]bool{set.Claims[0].Metadata.Name: true}
	for _, v := range p.Volumes {
		mounted[v.Name] = true
	}
	for _, m := range p.Containers[0].Mounts {
		if !mounted[m.Name] {
			t.Errorf("nothing is mounted at %s", m.Path)
		}
	}
	ports := map[string]bool{}
	for _, port := range p.Containers[0].Ports {
		ports[port.Name] = true
	}
	for _, port := range append(head.Ports, api.Spec.Ports...) {
		if !ports[port.TargetPort] {
			t.Errorf("no port %s", port.TargetPort)
		}
	}
	monitoring := manifests(t, "monitoring.yaml")
	var rules struct{ Groups any }
	readYAML(t, "configs/prometheus/alerts.yaml", &rules)
	if !reflect.DeepEqual(monitoring["PrometheusRule pfs"].Spec.Groups, rules.Groups) {
		t.Error("the rules of monitoring.yaml are not those of configs/prometheus/alerts.yaml")
	}
	monitor := monitoring["ServiceMonitor pfs"].Spec
	same(t, "selector of the monitor", monitor.Selector, selector{api.Metadata.Labels})
	if monitor.JobLabel != "app.kubernetes.io/name" || api.Metadata.Labels[monitor.JobLabel] != "pfs" || monitor.Endpoints[0].Port != api.Spec.Ports[0].Name {
		t.Errorf("the monitor asks for %+v", monitor)
	}
}

// pods runs pods of the set as the kubelet would.
type pods struct {
	t     *testing.T
	c     container
	lan   *harness.Lan
	image *harness.Image
	files map[string]string // volumes by name
	data  map[string]string // by pod
}

func (p *pods) start(name string) *running {
	p.t.Helper()
	k := &harness.Container{Image: p.image, Lan: p.lan, Place: p.lan.Plug(name + ".pfs-headless.default.svc"), Mounts: map[string]string{}}
	var vars []string
	for _, e := range p.c.Env {
		value := e.Value
		switch e.From.Field["fieldPath"] {
		case "metadata.name":
			value = name
		case "metadata.namespace":
			value = "default"
		}
		k.Env = append(k.Env, e.Name+"="+value)
		vars = append(vars, "$("+e.Name+")", value)
	}
	if p.data[name] == "" {
		p.data[name] = p.image.Volume(p.t, "/var/lib/pfs")
	}
	for _, m := range p.c.Mounts {
		from := p.files[m.Name]
		if m.Name == "data" {
			from = p.data[name]
		}
		if m.SubPath != "" {
			from = filepath.Join(from, m.SubPath)
		}
		if m.ReadOnly {
			from += ":ro"
		}
		k.Mounts[m.Path] = from
	}
	expand := strings.NewReplacer(vars...)
	var args []string
	for _, a := range p.c.Args {
		args = append(args, expand.Replace(a))
	}
	return run(p.t, k, args...)
}

// good asks a pod for one of its probes.
func (p *pods) good(name string, probe httpProbe) bool {
	_, ok := p.lan.Get("http://" + p.lan.Addr(name+".pfs-headless.default.svc") + ":8080" + probe.Get.Path)
	return ok
}

// TestPods runs the pods of the set in the image's root: they find each other by
// name, answer their probes, hand over before they stop, and come back with
// another address.
func TestPods(t *testing.T) {
	all := manifests(t, "pfs.yaml")
	p := &pods{t: t, c: all["StatefulSet pfs"].Spec.Template.Spec.Containers[0], lan: harness.NewLan(t), image: image(t),
		files: map[string]string{"config": t.TempDir(), "certs": t.TempDir()}, data: map[string]string{}}
	for name, text := range all["ConfigMap pfs"].Data {
		if err := os.WriteFile(filepath.Join(p.files["config"], name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"pfs-0", "pfs-1", "pfs-2"}
	made, err := exec.Command(filepath.Join(harness.Build(t), "pfs"), append([]string{"cluster", "init-certs", "--dir", p.files["certs"] + "/new"}, names...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("init-certs: %v\n%s", err, made)
	}
	// As a secret: readable by the group of the pod.
	secret := fmt.Sprintf("cd '%s' && rm new/ca-key.pem && mv new/* . && rmdir new && chgrp 65532 * && chmod 0440 *", p.files["certs"])
	if out, err := exec.Command("sh", "-c", secret).CombinedOutput(); err != nil {
		t.Fatalf("secret: %v\n%s", err, out)
	}
	nodes := map[string]*running{}
	for _, name := range names {
		nodes[name+".pfs-headless.default.svc"] = p.start(name)
	}
	tryNodes(t, p.lan, nodes)
	for _, name := range names {
		for _, probe := range []httpProbe{p.c.Startup, p.c.Liveness, p.c.Readiness} {
			if !harness.Poll(30*time.Second, func() bool { return p.good(name, probe) }) {
				t.Errorf("%s of %s is bad", probe.Get.Path, name)
			}
		}
	}
	var leader, out string
	handed := func() bool { // who leads may be another one by the time it is told
		leader = p.leader(names[0])
		out, err = nodes[leader+".pfs-headless.default.svc"].exec(p.c.Lifecycle.PreStop.Exec.Command...)
		return err == nil && strings.Contains(out, "leads now")
	}
	if !harness.Poll(60*time.Second, handed) {
		t.Errorf("preStop of the leader: %v, %s", err, out)
	}
	r := nodes[leader+".pfs-headless.default.svc"]
	if !harness.Poll(30*time.Second, func() bool { return p.leader(names[0]) != leader }) {
		t.Errorf("%s still leads after preStop", leader)
	}
	r.stop(time.Minute)
	nodes[leader+".pfs-headless.default.svc"] = p.start(leader) // with a new address
	tryNodes(t, p.lan, nodes)
	follows := func() bool { // if it has come to lead, it does so after the first time
		out, err = nodes[leader+".pfs-headless.default.svc"].exec(p.c.Lifecycle.PreStop.Exec.Command...)
		return err == nil && out == ""
	}
	if !harness.Poll(60*time.Second, follows) {
		t.Errorf("preStop of a follower: %v, %s", err, out)
	}
}

// leader is the pod that leads, as another one sees it.
func (p *pods) leader(asked string) string {
	p.t.Helper()
	var s struct {
		Leader string `json:"leader_id"`
	}
	if !harness.Poll(20*time.Second, func() bool {
		body, _ := p.lan.Get("http://" + p.lan.Addr(asked+".pfs-headless.default.svc") + ":8080/api/v1/cluster")
		return json.Unmarshal([]byte(body), &s) == nil && s.Leader != ""
	}) {
		p.t.Fatal("no leader")
	}
	return s.Leader
}
