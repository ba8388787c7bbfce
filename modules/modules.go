package modules

import (
	"go.uber.org/fx"

	"github.com/tenonhq/tenon/modules/apikeys/apikeysfx"
	"github.com/tenonhq/tenon/modules/audit/auditfx"
	"github.com/tenonhq/tenon/modules/identity"
	"github.com/tenonhq/tenon/modules/identity/identityfx"
	"github.com/tenonhq/tenon/modules/operations/operationsfx"
	"github.com/tenonhq/tenon/modules/projects/projectsfx"
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
	operationsfx.Module,
)

// Navigation is the sidebar of a tenant's pages, from top to bottom.
func Navigation() []web.NavigationItem {
	return []web.NavigationItem{
		{Label: "Dashboard", Icon: "layout-dashboard", Path: "/dashboard"},
		{Label: "Projects", Icon: "folder", Path: "/projects"},
		{Label: "Members", Icon: "users", Path: "/members"},
		{Label: "API keys", Icon: "key-round", Path: "/api-keys", Permission: string(identity.APIKeysManage)},
		{Label: "Audit log", Icon: "scroll-text", Path: "/audit-log", Permission: string(identity.AuditView)},
		{Label: "Settings", Icon: "settings", Path: "/settings", Permission: string(identity.OrganizationManage)},
	}
}
