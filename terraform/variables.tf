variable "availability_zone" {
  description = "Where the host and its data volume are, such as eu-central-1a. A volume can never leave its zone."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$", var.availability_zone))
    error_message = "availability_zone must be a zone such as eu-central-1a: a region and a letter."
  }
}

variable "users_cidrs" {
  description = "Who may use the page and the API, as IPv4 CIDR blocks. [\"0.0.0.0/0\"]: everybody."
  type        = list(string)

  validation {
    condition     = length(var.users_cidrs) > 0
    error_message = "users_cidrs must name somebody: [\"203.0.113.0/24\"], or [\"0.0.0.0/0\"] for everybody."
  }

  validation {
    condition     = alltrue([for cidr in var.users_cidrs : try(cidrsubnet(cidr, 0, 0) == cidr && !strcontains(cidr, ":"), false)])
    error_message = "users_cidrs must be IPv4 CIDR blocks such as 203.0.113.0/24, without bits beyond the mask."
  }
}

variable "release_url" {
  description = "Where a new host downloads irisab-VERSION.tar.gz, the archive that `make release` makes."
  type        = string

  validation {
    condition     = can(regex("^https://[A-Za-z0-9._~:/?#@!&*+,;=%-]+$", var.release_url))
    error_message = "release_url must begin with https:// and have no quotes, spaces or dollar signs."
  }
}

variable "release_sha256" {
  description = "The archive's sha256, as `make release` prints it. Any other archive is refused."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.release_sha256))
    error_message = "release_sha256 must be 64 hexadecimal digits, in lower case."
  }
}

variable "instance_type" {
  description = "An x86_64 or arm64 type of the Nitro system with at least 4 GB."
  type        = string
  default     = "t3.medium"
}

variable "subnet_id" {
  description = "A public subnet of yours in availability_zone. null: the zone's subnet in the default VPC."
  type        = string
  default     = null
}

variable "ssh_cidrs" {
  description = "Who may use SSH, as IPv4 CIDR blocks. Empty: nobody; Session Manager needs no open port."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : try(cidrsubnet(cidr, 0, 0) == cidr && !strcontains(cidr, ":"), false)])
    error_message = "ssh_cidrs must be IPv4 CIDR blocks such as 203.0.113.7/32, without bits beyond the mask."
  }

  validation {
    condition     = alltrue([for cidr in var.ssh_cidrs : try(tonumber(split("/", cidr)[1]) >= 16, false)])
    error_message = "ssh_cidrs must not open SSH to more than a /16: use your own address, or Session Manager."
  }
}

variable "key_name" {
  description = "An EC2 key pair for ec2-user. null: none; Session Manager needs none."
  type        = string
  default     = null
}

variable "egress_ports" {
  description = "TCP ports that the host may reach: 443 for packages and releases; add 587 to send mail."
  type        = set(number)
  default     = [443]

  validation {
    condition     = contains(var.egress_ports, 443)
    error_message = "egress_ports must contain 443: the release, packages and Session Manager need it."
  }
}

variable "root_gb" {
  description = "Size of the system disk in GB."
  type        = number
  default     = 16

  validation {
    condition     = var.root_gb >= 16
    error_message = "root_gb must be at least 16: an upgrade holds two releases at once."
  }
}

variable "data_gb" {
  description = "Size of the data volume in GB. It can grow, never shrink."
  type        = number
  default     = 10

  validation {
    condition     = var.data_gb >= 1 && var.data_gb <= 16384 && floor(var.data_gb) == var.data_gb
    error_message = "data_gb must be a whole number from 1 to 16384."
  }
}

variable "data_snapshot_id" {
  description = "Make the data volume from this snapshot. null: an empty one."
  type        = string
  default     = null
}
