<#
.SYNOPSIS
    Registers oxpost with Microsoft 365: the app, its permissions and, without a person, the mailboxes it may use.
.DESCRIPTION
    -Mode Delegated  a public app for sign-in in a browser (docs/setup/microsoft-delegated.md, steps 1 to 3)
    -Mode AppOnly    an app with a secret, limited to the given mailboxes by RBAC for Applications
                     (docs/setup/microsoft-app-only.md, steps 1 to 5 A)
    Needs the modules Microsoft.Graph.Applications and, for AppOnly or -SmtpAuth, ExchangeOnlineManagement, and somebody
    who may register apps, grant consent and manage Exchange. Prints the command for `oxpost init` at its end.
.EXAMPLE
    ./microsoft.ps1 -Mode Delegated -Mailbox scanner@contoso.com -People -SmtpAuth
.EXAMPLE
    ./microsoft.ps1 -Mode AppOnly -Mailbox scanner@contoso.com, billing@contoso.com -SecretFile ./client-secret
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [ValidateSet('Delegated', 'AppOnly')] [string] $Mode,
    # The mailboxes to send from.
    [Parameter(Mandatory)] [string[]] $Mailbox,
    [string] $Name = 'oxpost',
    # Let the app look people up.
    [switch] $People,
    # Switch SMTP AUTH on for the mailboxes.
    [switch] $SmtpAuth,
    # AppOnly: where the secret is written; it is never shown.
    [string] $SecretFile = './client-secret',
    # AppOnly: days until the secret ends.
    [int] $SecretDays = 365
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$graphId = '00000003-0000-0000-c000-000000000000'

# The permissions of an API are found by their names: their ids are nobody's to remember.
function Get-Access([string] $ApiId, [string[]] $Permissions, [string] $Type) {
    $api = Get-MgServicePrincipal -Filter "appId eq '$ApiId'"
    if (-not $api) { throw "the tenant has no service principal of the API $ApiId" }
    $known = if ($Type -eq 'Scope') { $api.Oauth2PermissionScopes } else { $api.AppRoles }
    $access = foreach ($permission in $Permissions) {
        $found = $known | Where-Object Value -eq $permission
        if (-not $found) { throw "the API $ApiId has no permission $permission" }
        @{ Id = $found.Id; Type = $Type }
    }
    @{ ResourceAppId = $ApiId; ResourceAccess = @($access) }
}

Connect-MgGraph -NoWelcome -Scopes 'Application.ReadWrite.All', 'AppRoleAssignment.ReadWrite.All'
if (Get-MgApplication -Filter "displayName eq '$Name'") { throw "there is an app $Name already; choose another -Name" }

if ($Mode -eq 'Delegated') {
    # SMTP.Send stands under Microsoft Graph, though tokens for it are of Exchange.
    $graph = @('Mail.Send', 'SMTP.Send', 'offline_access')
    if ($People) { $graph += 'User.Read', 'User.ReadBasic.All' }
    $access = @(Get-Access $graphId $graph 'Scope')
    $parameters = @{
        PublicClient           = @{ RedirectUris = @('http://localhost') }
        IsFallbackPublicClient = $true
    }
} else {
    # Sending is allowed in Exchange, for the given mailboxes alone. A permission here would be for all of them.
    $access = @(if ($People) { Get-Access $graphId @('User.Read.All') 'Role' })
    $parameters = @{}
}
if (-not $PSCmdlet.ShouldProcess($Name, 'register the app')) { return }
$app = New-MgApplication -DisplayName $Name -SignInAudience 'AzureADMyOrg' -RequiredResourceAccess $access @parameters
# The Enterprise application. Its object id is the one that Exchange wants.
$principal = New-MgServicePrincipal -AppId $app.AppId
$tenant = (Get-MgContext).TenantId

if ($Mode -eq 'AppOnly' -and $People) {
    $api = Get-MgServicePrincipal -Filter "appId eq '$graphId'"
    $role = $api.AppRoles | Where-Object Value -eq 'User.Read.All'
    $null = New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $principal.Id -PrincipalId $principal.Id `
        -ResourceId $api.Id -AppRoleId $role.Id
}
if ($Mode -eq 'AppOnly') {
    $credential = @{ DisplayName = 'oxpost'; EndDateTime = (Get-Date).AddDays($SecretDays) }
    $secret = Add-MgApplicationPassword -ApplicationId $app.Id -PasswordCredential $credential
    Set-Content -Path $SecretFile -Value $secret.SecretText -NoNewline
    Write-Host "the secret is in $SecretFile and ends on $($secret.EndDateTime); let oxpost's user alone read it"
}
if ($Mode -eq 'AppOnly' -or $SmtpAuth) { Connect-ExchangeOnline -ShowBanner:$false }
if ($Mode -eq 'AppOnly') {
    $null = New-ServicePrincipal -AppId $app.AppId -ObjectId $principal.Id -DisplayName $Name
    $group = New-DistributionGroup -Name "$Name-mailboxes" -Type Security -Members $Mailbox
    $null = New-ManagementScope -Name $Name `
        -RecipientRestrictionFilter "MemberOfGroup -eq '$($group.DistinguishedName)'"
    foreach ($role in 'Application Mail.Send', 'Application SMTP.SendAsApp') {
        $null = New-ManagementRoleAssignment -App $app.AppId -Role $role -CustomResourceScope $Name
    }
    Write-Host 'Exchange may take up to two hours until the app is let in'
}
if ($SmtpAuth) {
    foreach ($one in $Mailbox) { Set-CASMailbox $one -SmtpClientAuthenticationDisabled $false }
}

$options = if ($Mode -eq 'AppOnly') { " --app-only --client-secret $SecretFile" } else { '' }
if ($People) { $options += ' --people' }
Write-Host "client id $($app.AppId), directory $tenant, Enterprise application $($principal.Id)"
Write-Host "now: oxpost init --provider microsoft --tenant $tenant --client-id $($app.AppId) --mailbox $($Mailbox[0])$options"
