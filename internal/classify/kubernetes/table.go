package kubernetes

import (
	"slices"
	"strings"

	"github.com/assenthq/assent/action"
)

// A class says what writing, deleting and reading resources of some kind does.
type class struct {
	read, create, change, delete []action.Kind
	pods                         bool // a pod, its template or a volume for it may be in the body
}

// classes are what the resources of table are. A verb without kinds is unknown.
var classes = map[string]class{
	"workload":  {kinds(action.DataRead), kinds(action.Deploy), kinds(action.Deploy), kinds(action.InfraDestroy), true},
	"pod":       {kinds(action.DataRead), kinds(action.Deploy), kinds(action.Deploy), kinds(action.Deploy), true},
	"config":    {kinds(action.DataRead), kinds(action.ConfigChange), kinds(action.ConfigChange), kinds(action.ConfigChange, action.DataDelete), false},
	"secret":    {kinds(action.SecretAccess, action.DataRead), kinds(action.SecretAccess, action.ConfigChange), kinds(action.SecretAccess, action.ConfigChange), kinds(action.SecretAccess, action.DataDelete), false},
	"network":   {kinds(action.DataRead), kinds(action.NetworkChange), kinds(action.NetworkChange), kinds(action.NetworkChange), false},
	"infra":     {kinds(action.DataRead), kinds(action.InfraCreate), kinds(action.InfraChange), kinds(action.InfraDestroy), false},
	"volume":    {kinds(action.DataRead), kinds(action.InfraCreate), kinds(action.InfraChange), kinds(action.InfraDestroy, action.DataDelete), true},
	"privilege": {kinds(action.DataRead), kinds(action.PrivilegeChange), kinds(action.PrivilegeChange), kinds(action.PrivilegeChange), false},
	"identity":  {kinds(action.DataRead), kinds(action.IdentityChange), kinds(action.IdentityChange, action.PrivilegeChange), kinds(action.IdentityChange), false},
	"audit":     {kinds(action.DataRead), kinds(action.AuditChange), kinds(action.AuditChange), kinds(action.AuditChange), false},
	"schema":    {kinds(action.DataRead), kinds(action.SchemaChange), kinds(action.SchemaChange), kinds(action.SchemaChange, action.InfraDestroy, action.DataDelete), false},
	"apis":      {kinds(action.DataRead), kinds(action.SchemaChange, action.PrivilegeChange, action.NetworkChange), kinds(action.SchemaChange, action.PrivilegeChange, action.NetworkChange), kinds(action.SchemaChange, action.InfraDestroy), false},
	"event":     {kinds(action.DataRead), kinds(action.DataWrite), kinds(action.DataWrite), kinds(action.DataDelete), false},
	"ask":       {nil, kinds(action.DataRead), nil, nil, false},
	"token":     {nil, kinds(action.PrivilegeChange), nil, nil, false},
	"readonly":  {kinds(action.DataRead), nil, nil, nil, false},
}

// table is every resource of the groups that Kubernetes itself serves: a class, the group ("core" for
// the one without a name), and resources of it, with sub-resources that have a class of their own.
const table = `
pod       core pods podtemplates pods/eviction pods/resize
workload  core replicationcontrollers replicationcontrollers/scale
workload  apps deployments statefulsets daemonsets replicasets controllerrevisions deployments/scale statefulsets/scale replicasets/scale deployments/rollback
workload  batch jobs cronjobs
workload  extensions deployments daemonsets replicasets deployments/scale replicasets/scale deployments/rollback
workload  autoscaling horizontalpodautoscalers
config    core configmaps resourcequotas limitranges
config    policy poddisruptionbudgets
config    scheduling.k8s.io priorityclasses
config    coordination.k8s.io leases leasecandidates
config    flowcontrol.apiserver.k8s.io flowschemas prioritylevelconfigurations
secret    core secrets
network   core services endpoints
network   discovery.k8s.io endpointslices
network   networking.k8s.io networkpolicies ingresses ingressclasses ipaddresses servicecidrs
network   extensions ingresses networkpolicies
infra     core namespaces nodes namespaces/finalize pods/binding bindings
infra     node.k8s.io runtimeclasses
infra     storage.k8s.io storageclasses csidrivers csinodes csistoragecapacities volumeattachments volumeattributesclasses
infra     resource.k8s.io deviceclasses resourceclaims resourceclaimtemplates resourceslices
volume    core persistentvolumes persistentvolumeclaims
privilege rbac.authorization.k8s.io roles clusterroles rolebindings clusterrolebindings
privilege certificates.k8s.io certificatesigningrequests/approval certificatesigningrequests/status clustertrustbundles
privilege policy podsecuritypolicies
identity  certificates.k8s.io certificatesigningrequests
identity  core serviceaccounts
audit     admissionregistration.k8s.io validatingwebhookconfigurations mutatingwebhookconfigurations validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings
audit     auditregistration.k8s.io auditsinks
schema    apiextensions.k8s.io customresourcedefinitions
schema    storagemigration.k8s.io storageversionmigrations
schema    internal.apiserver.k8s.io storageversions
apis      apiregistration.k8s.io apiservices
event     core events
event     events.k8s.io events
ask       authorization.k8s.io selfsubjectaccessreviews selfsubjectrulesreviews subjectaccessreviews localsubjectaccessreviews
ask       authentication.k8s.io selfsubjectreviews
token     authentication.k8s.io tokenreviews
readonly  core componentstatuses pods/log
readonly  metrics.k8s.io pods nodes
`

// known is table by "group/resource" and "group/resource/sub-resource".
func known() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		group := f[1]
		if group == "core" {
			group = ""
		}
		for _, r := range f[2:] {
			out[group+"/"+r] = f[0]
		}
	}
	return out
}

// runs are the sub-resources that let what is sent run, or that lead past the gate's eyes.
var runs = []string{"exec", "attach", "portforward", "proxy", "ephemeralcontainers"}

// kindsOf are the kinds of i before anybody has read a body, and the class of its resource.
func (j *Judge) kindsOf(i *Info) ([]action.Kind, class) {
	name, is := j.known[i.Group+"/"+i.Resource]
	c := classes[name]
	switch {
	case i.Verb == "proxy" || slices.Contains(runs, i.Subresource):
		out := kinds(action.Execute)
		if i.Subresource != "ephemeralcontainers" {
			out = append(out, action.SessionOpen)
		}
		if !is {
			out = append(out, action.Unknown)
		}
		return out, classes["pod"]
	case i.Group == "" && i.Resource == "serviceaccounts" && i.Subresource == "token":
		return kinds(action.SecretAccess, action.PrivilegeChange), class{}
	case !is:
		return j.custom(i)
	case i.Subresource == "":
		return c.of(i.Verb), c
	}
	if len(i.Rest) > 0 {
		return append(c.of(i.Verb), action.Unknown), c
	}
	if own, is := j.known[i.Group+"/"+i.Resource+"/"+i.Subresource]; is {
		out := classes[own].of(i.Verb)
		if i.Resource == "pods" && i.Subresource == "binding" {
			out = kinds(action.InfraChange)
		}
		if i.Subresource == "finalize" {
			out = append(out, action.InfraDestroy)
		}
		return out, classes[own]
	}
	if i.Subresource == "status" && c.read != nil {
		if reads(i.Verb) {
			return c.read, c
		}
		return append(slices.Clone(c.change), action.ConfigChange), c
	}
	return append(c.of(i.Verb), action.Unknown), c
}

// custom is a resource of a group that Kubernetes itself doesn't serve: what the operator says it is.
func (j *Judge) custom(i *Info) ([]action.Kind, class) {
	for _, r := range j.rules {
		if r.Group != i.Group || r.Resource != "*" && r.Resource != i.Resource || i.Subresource != "" && i.Subresource != "status" && i.Subresource != "scale" {
			continue
		}
		c, is := classes[r.As]
		if !is {
			break
		}
		return c.of(i.Verb), c
	}
	if reads(i.Verb) {
		return kinds(action.Unknown, action.DataRead), class{}
	}
	out := kinds(action.Unknown)
	if strings.HasPrefix(i.Verb, "delete") {
		out = append(out, action.InfraDestroy)
	}
	return out, class{}
}

func (c class) of(verb string) []action.Kind {
	var out []action.Kind
	switch verb {
	case "get", "list", "watch":
		out = c.read
	case "create":
		out = c.create
	case "update", "patch":
		out = c.change
	case "delete":
		out = c.delete
	case "deletecollection":
		out = append(slices.Clone(c.delete), action.InfraDestroy)
	}
	if len(out) == 0 {
		return kinds(action.Unknown)
	}
	return slices.Clone(out)
}

func reads(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }

func kinds(k ...action.Kind) []action.Kind { return k }
