package modules

import (
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/apikeys/apikeysfx"
	"github.com/tenonhq/tenon/modules/audit/auditfx"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identityfx"
	"github.com/tenonhq/tenon/modules/operations/operationsfx"
	"github.com/tenonhq/tenon/modules/projects/projectsfx"
	"github.com/tenonhq/tenon/modules/search/searchfx"
	"github.com/tenonhq/tenon/modules/tenancy/tenancyfx"
	"github.com/tenonhq/tenon/platform/web"
)

// All is every module. Each provides its use cases and its mounts; none of them
// starts anything that was not asked for.
var All = fx.Options(
	tenancyfx.Module,
	identityfx.Module,
	projectsfx.Module,
	apikeysfx.Module,
	auditfx.Module,
	searchfx.Module,
	operationsfx.Module,
)

// Navigation is where to go in a tenant: the pages of the sidebar, from top to
// bottom, what is done from everywhere, and the search for the rest.
func Navigation() []web.NavigationItem {
	return []web.NavigationItem{
		{Label: "Dashboard", Icon: "layout-dashboard", Path: "/dashboard", Keys: "g d"},
		{Label: "Projects", Icon: "folder", Path: "/projects", Keys: "g p"},
		{Label: "Members", Icon: "users", Path: "/members", Keys: "g m"},
		{Label: "API keys", Icon: "key-round", Path: "/api-keys", Keys: "g k", Permission: string(identity.APIKeysManage)},
		{Label: "Audit log", Icon: "scroll-text", Path: "/audit-log", Keys: "g a", Permission: string(identity.AuditView)},
		{Label: "Settings", Icon: "settings", Path: "/settings", Keys: "g s", Permission: string(identity.OrganizationManage)},
		{Kind: web.SearchItem, Label: "Search", Icon: "search", Path: "/search"},
		{Kind: web.ActionItem, Label: "New project", Icon: "plus", Path: "/projects/new", Keys: "n", Permission: string(identity.ProjectsCreate)},
		{Kind: web.ActionItem, Label: "Invite somebody", Icon: "user-plus", Path: "/members/invite", Keys: "i", Permission: string(identity.UsersManage)},
	}
}
