package grpcserver

import (
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	typev1 "github.com/synapse-analytics/synapse/gen/go/synapse/type/v1"
	"github.com/synapse-analytics/synapse/internal/errs"
)

// rule says who may call a method, as its contract declares.
type rule struct {
	kind   ruleKind
	scope  typev1.Access_Scope // for ruleScope
	denied *errs.Error         // the one answer to who may not

	source projectSource                 // where the request names its project
	input  protoreflect.MessageType      // of a request
	desc   protoreflect.MethodDescriptor // nil for gRPC's own methods

	infrastructure bool // gRPC's own: health and reflection
	clientStream   bool
}

type ruleKind int

const (
	ruleUndeclared ruleKind = iota
	rulePublic
	ruleAuthenticated
	ruleUser
	ruleScope
)

// projectSource is where a request names its project.
type projectSource int

const (
	fromNowhere projectSource = iota
	fromParent                // parent
	fromName                  // name
	fromProject               // project.name
)

// rules holds the rule of every method by its full name, "/package.Service/Method".
// It does not change once the server serves.
type rules map[string]*rule

// allowed are gRPC's own services that anyone may call.
var allowed = map[string]bool{
	"grpc.health.v1.Health":                    true,
	"grpc.reflection.v1.ServerReflection":      true,
	"grpc.reflection.v1alpha.ServerReflection": true,
}

// allow lets anyone call a service of gRPC itself.
func (r rules) allow(service string, info grpc.ServiceInfo) {
	if !allowed[service] {
		return
	}
	for _, m := range info.Methods {
		r["/"+service+"/"+m.Name] = &rule{kind: rulePublic, denied: errUndeclared, infrastructure: true, clientStream: m.IsClientStream}
	}
}

// add reads the rules of a service's methods. What is not in the contracts, or
// declares nothing, gets no rule.
func (r rules) add(desc *grpc.ServiceDesc) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(desc.ServiceName))
	if err != nil {
		return
	}
	service, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return
	}
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		if rule := readRule(m); rule != nil {
			r["/"+desc.ServiceName+"/"+string(m.Name())] = rule
		}
	}
}

// readRule reads a method's rule; nil if it declares none.
func readRule(m protoreflect.MethodDescriptor) *rule {
	r := &rule{desc: m, clientStream: m.IsStreamingClient()}
	access, _ := proto.GetExtension(m.Options(), typev1.E_Access).(*typev1.Access)
	switch {
	case access.GetPublic():
		r.kind, r.denied = rulePublic, errUndeclared
	case access.GetAuthenticated():
		r.kind, r.denied = ruleAuthenticated, errs.Denied("any right")
	case access.GetUser():
		r.kind, r.denied = ruleUser, errs.Denied("a signed-in person behind it: API keys may not do this")
	case access.GetScope() != typev1.Access_SCOPE_UNSPECIFIED:
		r.kind, r.scope = ruleScope, access.GetScope()
		r.denied = errs.Denied("the scope " + r.scope.String())
		r.source = findProject(m.Input())
	default:
		return nil
	}
	var err error
	if r.input, err = protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName()); err != nil {
		return nil // not linked in: then no handler is either
	}
	return r
}

// findProject says where the messages of a type name their project.
func findProject(input protoreflect.MessageDescriptor) projectSource {
	isString := func(m protoreflect.MessageDescriptor, name protoreflect.Name) bool {
		f := m.Fields().ByName(name)
		return f != nil && f.Kind() == protoreflect.StringKind && !f.IsList()
	}
	switch {
	case isString(input, "parent"):
		return fromParent
	case isString(input, "name"):
		return fromName
	}
	if f := input.Fields().ByName("project"); f != nil && f.Message() != nil && !f.IsList() && isString(f.Message(), "name") {
		return fromProject
	}
	return fromNowhere
}
