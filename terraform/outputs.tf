output "address" {
  description = "The host's public address. It stays the same when the host is replaced."
  value       = aws_eip.irisab.public_ip
}

output "url" {
  description = "The page; /predict and /health are the API."
  value       = "http://${aws_eip.irisab.public_ip}/"
}

output "instance_id" {
  description = "For aws ssm start-session --target."
  value       = aws_instance.irisab[local.architecture].id
}

output "data_volume_id" {
  description = "Models and history. Keep it, and any host can have them."
  value       = aws_ebs_volume.data.id
}

output "install" {
  description = "What the SSM document AWS-RunShellScript needs to install release_url on the host."
  value       = jsonencode({ commands = [local.install] })
  sensitive   = true # no secret, only too long to be printed after each apply
}
