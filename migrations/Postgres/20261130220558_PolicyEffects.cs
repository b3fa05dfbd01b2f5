using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Postgres
{
    /// <inheritdoc />
    public partial class PolicyEffects : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<Guid>(
                name: "PolicyId",
                table: "Explanations",
                type: "uuid",
                nullable: true);

            migrationBuilder.AddColumn<double>(
                name: "PolicyEffect",
                table: "ExplainingPairs",
                type: "double precision",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "PolicyId",
                table: "Explanations");

            migrationBuilder.DropColumn(
                name: "PolicyEffect",
                table: "ExplainingPairs");
        }
    }
}
